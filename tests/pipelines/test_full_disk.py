"""A disk that runs full in any data stage: a clear end, nothing half-written, and only that stage is done again."""

from __future__ import annotations

import datetime
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("tfx")

from tfx import v1 as tfx
from tfx.orchestration.data_types import RuntimeParameter

from components.contract.component import Contract
from components.examples.component import Examples
from components.statistics.component import Statistics
from components.transform.component import Transform
from pipelines.assemble import BEAM_ARGS
from pipelines.compile import compile_pipeline
from pipelines.outcome import State, read_outcomes
from pipelines.settings import REPOSITORY, Settings
from pipelines.shop.simulator import write_day
from pipelines.shop.world import World
from pipelines.spec import load_spec
from tests.pipelines.forked import FreshNode
from tests.postgres import Server

pytestmark = pytest.mark.slow

DAY, NODES = "2026-01-05", ("contract", "examples", "statistics", "schema", "transform")
LEFT_BYTES = 16 * 2**10


@dataclass(frozen=True)
class Disk:
    """A small file system."""

    folder: Path

    @property
    def ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        status = os.statvfs(self.folder)
        self.ballast.write_bytes(b"\1" * (status.f_bavail * status.f_frsize - LEFT_BYTES))

    def free(self) -> None:
        self.ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "daybreak", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"only root may mount a small disk: {mounted.stderr.decode().strip()}")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def data_stages(settings: Settings) -> None:
    """Compiles the shop up to transform."""
    spec = load_spec("shop")
    data, day = spec.data.model_dump_json(), RuntimeParameter(name="day", ptype=str)
    contract = Contract(pipeline=spec.name, data=data, day=day, rows_limit=0, force=0)
    examples = Examples(rows=contract.outputs["rows"], data=data)
    schema = tfx.components.ImportSchemaGen(schema_file="pipelines/shop/schema.pbtxt")
    transform = Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="pipelines.shop.features.preprocessing_fn",
    )
    found = [contract, examples, Statistics(examples=examples.outputs["examples"]), schema, transform]
    pipeline = tfx.dsl.Pipeline(
        pipeline_name=spec.name,
        pipeline_root="",
        components=[node.with_id(name) for name, node in zip(NODES, found, strict=True)],
        enable_cache=True,
        beam_pipeline_args=BEAM_ARGS,
    )
    compile_pipeline(pipeline, settings, spec=spec)


def test_each_stage_ends_clearly_and_the_next_try_does_only_that_one(
    disk: Disk, server: Server, tmp_path: Path
) -> None:
    settings = Settings(home=REPOSITORY, state=disk.folder / "state")
    write_day(World(7), datetime.date.fromisoformat(DAY), rows=4000, data=settings.data)
    data_stages(settings)
    environ = {"DAYBREAK_MLMD_URL": server.new_database(), "DAYBREAK_STATE": str(settings.state)}

    def run(node: str, run_id: str) -> tuple[int, str]:
        manifest = settings.manifests / "shop.json"
        command = ["run", "--manifest", str(manifest), "--node", node, "--run-id", run_id, "--day", DAY]
        forked = FreshNode(command, environ=environ, output=tmp_path / f"{run_id}-{node}")
        return forked.wait(), forked.output()

    for node in NODES:
        if node != "schema":
            disk.fill()
            code, output = run(node, "one")
            assert code == 74 and "free space" in output, output
            assert [path for path in (settings.artifacts / "shop" / node).rglob("*") if path.is_file()] == []
            disk.free()
        code, output = run(node, "one")
        assert code == 0, output
    assert list(settings.temporary.iterdir()) == []

    for node in NODES:
        run(node, "two")
    states = {node: outcome.state for node, outcome in read_outcomes(settings, "shop", "two").items()}
    assert states == dict.fromkeys(NODES, State.CACHED)
