"""What a node makes in the folder for temporary files is below the state folder, and gone with the node."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from pipelines.node.temporary import temporary_folder
from pipelines.settings import Settings
from tests.postgres import Server

PLACE = "shop/train of 2026-01-05"


def test_temporary_files_are_gone_however_the_node_ends(settings: Settings) -> None:
    before = os.environ["TMPDIR"], tempfile.gettempdir()

    def fail() -> None:
        with temporary_folder(settings, PLACE):
            left = Path(tempfile.mkdtemp())
            assert left.parent.parent == settings.temporary
            assert os.environ["TMPDIR"] == str(left.parent)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(settings.temporary.iterdir()) == []
    assert (os.environ["TMPDIR"], tempfile.gettempdir()) == before


def test_a_killed_node_leaves_nothing_to_the_next_try(settings: Settings) -> None:
    if (child := os.fork()) == 0:
        with temporary_folder(settings, PLACE):
            tempfile.mkdtemp()
            os._exit(0)
    os.waitpid(child, 0)
    [left] = settings.temporary.iterdir()
    with temporary_folder(settings, "shop/train of 2026-01-06"):
        assert left.exists(), "of another day, which may be running"
        with temporary_folder(settings, PLACE):
            assert not left.exists()


@pytest.mark.slow
def test_a_node_leaves_no_temporary_file(
    settings: Settings, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tfx")
    from pipelines.compile import compile_pipeline
    from tests.pipelines.forked import ForkedNode
    from tests.pipelines.tiny.beam_node import create_pipeline

    compile_pipeline(create_pipeline(name="summed"), settings)
    private = tmp_path / "private"
    private.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(private))
    monkeypatch.setenv("TMPDIR", str(private))
    manifest = settings.manifests / "summed.json"
    command = ["run", "--manifest", str(manifest), "--node", "sum", "--run-id", "one", "--day", "2026-01-05"]
    environ = {"DAYBREAK_MLMD_URL": server.new_database(), "DAYBREAK_STATE": str(settings.state)}
    node = ForkedNode(command, environ=environ, output=tmp_path / "output")
    assert node.wait() == 0, node.output()
    assert list(private.iterdir()) == []
    assert list(settings.temporary.iterdir()) == []
