"""A node asks where Beam runs as it starts, and only when it has to work."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.compile import compile_pipeline
from pipelines.node.command import main
from pipelines.settings import Settings
from pipelines.spec import load_spec
from tests.pipelines.forked import ForkedNode
from tests.pipelines.tiny.beam_node import create_pipeline
from tests.postgres import Server


def run(settings: Settings, url: str, run_id: str, folder: Path, *options: str) -> tuple[int, str]:
    manifest = settings.manifests / "summed.json"
    command = ["run", "--manifest", str(manifest), "--node", "sum", "--run-id", run_id, "--day", "2026-01-05", *options]
    environ = {"DAYBREAK_MLMD_URL": url, "DAYBREAK_STATE": str(settings.state), "DAYBREAK_CLUSTER": ""}
    node = ForkedNode(command, environ=environ, output=folder / run_id)
    return node.wait(), node.output()


@pytest.mark.slow
def test_the_same_compiled_node_runs_elsewhere_and_hits_the_same_cache(
    settings: Settings, server: Server, tmp_path: Path
) -> None:
    url = server.new_database()
    spec = load_spec("taxi")
    spec = spec.model_copy(update={"cluster": spec.cluster.model_validate("flink")})
    compile_pipeline(create_pipeline(name="summed"), settings, spec=spec)

    code, output = run(settings, url, "no-cluster", tmp_path)
    assert code == 75, output
    assert "daybreak cluster up flink" in output

    code, output = run(settings, url, "local", tmp_path, "--cluster", "local")
    assert code == 0, output
    [written] = (settings.artifacts / "summed" / "sum" / "total").rglob("sum.txt")
    assert written.read_text() == "6\n"

    code, output = run(settings, url, "hit", tmp_path)
    assert code == 0, output
    assert "hit because inputs, parameters and code equal" in output


def test_an_unknown_cluster_is_refused_with_the_names_of_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run-all", "--manifest", "m", "--run-id", "r", "--day", "2026-01-05", "--cluster", "mars"])
    assert "(choose from 'local', 'flink', 'spark', 'dataflow')" in capsys.readouterr().err
