"""Any TFX pipeline becomes IR and manifest, the same bytes every time and everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tfx")

from tfx import v1 as tfx

from pipelines.compile import compile_by_name, compile_pipeline, main
from pipelines.errors import SpecError
from pipelines.manifest import read_manifest
from pipelines.settings import REPOSITORY, Settings
from pipelines.spec import parse_spec
from tests.pipelines.tiny.pipeline import create_pipeline

TINY = "tests.pipelines.tiny.pipeline"


def written(settings: Settings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in settings.manifests.iterdir()}


def test_nodes_edges_and_defaults(settings: Settings) -> None:
    manifest = compile_by_name(TINY, settings)
    upstream = {node.id: node.upstream for node in manifest.nodes}
    assert upstream == {
        "contract": (),
        "schema": (),
        "count": ("contract", "schema"),
        "twice": ("count",),
        "latest": ("twice",),
    }
    assert {node.stage for node in manifest.nodes} == {"pipeline"}
    assert manifest.node("count").code == ("tests.pipelines.tiny.nodes",)
    assert manifest.node("schema").code == ()
    assert read_manifest(settings.manifests / "tiny.json") == manifest


def test_bytes_do_not_depend_on_process_or_state_folder(tmp_path: Path) -> None:
    results = []
    for name, seed in (("one", "1"), ("two", "2")):
        state = tmp_path / name
        environ = {**os.environ, "DAYBREAK_STATE": str(state), "PYTHONHASHSEED": seed}
        command = [sys.executable, "-m", "pipelines.compile", TINY]
        subprocess.run(command, env=environ, cwd=REPOSITORY, check=True, capture_output=True)
        results.append(written(Settings(home=REPOSITORY, state=state)))
    assert results[0] == results[1]
    assert set(results[0]) == {"tiny.json", "tiny.ir.json"}


def test_the_machine_is_not_in_the_ir(settings: Settings) -> None:
    metadata = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(settings.state / "secret" / "mlmd.db"))
    pipeline = create_pipeline(pipeline_root=str(settings.artifacts / "tiny"))
    pipeline.metadata_connection_config = metadata
    manifest = compile_pipeline(pipeline, settings)
    content = (settings.manifests / manifest.ir).read_text()
    assert str(settings.state) not in content
    assert "mlmd.db" not in content
    assert "type.googleapis.com" in content, "executor specs are still there"


def test_a_root_elsewhere_is_kept(settings: Settings) -> None:
    manifest = compile_pipeline(create_pipeline(pipeline_root="gs://bucket/tiny"), settings)
    assert "gs://bucket/tiny" in (settings.manifests / manifest.ir).read_text()


def test_spec_and_node_metadata_reach_the_manifest(settings: Settings) -> None:
    spec = parse_spec(
        "name: tiny\nowner: me\nsimulated: true\n"
        "data: {source: {format: csv, path: '/data/{day}.csv'}, columns: {a: int, y: int}, label: y, split_key: a}\n"
        "schedule: {start: 2026-01-01}\n"
    )
    nodes = {"count": {"stage": "data", "slots": 2, "stamps": {"source": "os:getcwd"}}}
    manifest = compile_pipeline(create_pipeline(), settings, spec=spec, nodes=nodes)
    assert (manifest.owner, manifest.simulated, manifest.schedule) == ("me", True, spec.schedule)
    assert manifest.spec == spec.model_dump(mode="json")
    count = manifest.node("count")
    assert (count.stage, count.slots, count.stamps) == ("data", 2, {"source": "os:getcwd"})
    assert json.loads((settings.manifests / "tiny.json").read_text())["nodes"]


def test_metadata_of_an_unknown_node_is_refused(settings: Settings) -> None:
    with pytest.raises(SpecError, match="conut"):
        compile_pipeline(create_pipeline(), settings, nodes={"conut": {}})
    assert not settings.manifests.exists(), "nothing is written when compiling fails"


def test_sub_pipelines_are_refused(settings: Settings) -> None:
    outer = tfx.dsl.Pipeline(pipeline_name="outer", pipeline_root="x", components=[create_pipeline(pipeline_root="x")])
    with pytest.raises(SpecError, match="flat.*tiny"):
        compile_pipeline(outer, settings)


def test_unknown_names_end_in_one_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBREAK_STATE", "/nonexistent/never/written")
    assert main(["no_such_pipeline"]) == SpecError.exit_code
    assert "no_such_pipeline" in capsys.readouterr().err
    assert main(["json.decoder"]) == SpecError.exit_code
    assert "create_pipeline" in capsys.readouterr().err


def test_changes_are_for_one_spec(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = compile_by_name("taxi", settings, changes=["train.epochs=3"])
    assert manifest.spec is not None and manifest.spec["train"]["epochs"] == 3
    with pytest.raises(SpecError, match=r"only what has a pipeline\.yaml"):
        compile_by_name("tests.pipelines.tiny.pipeline", settings, changes=["train.epochs=3"])
    with pytest.raises(SystemExit):
        main(["shop", "taxi", "--set", "train.epochs=3"])
    assert "--set belongs to one NAME" in capsys.readouterr().err
