"""The graphs of the Beam stages are ones that Dataflow accepts: its whole translation, nothing submitted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor

from components.transform import executor as transform_executor
from components.transform.tracing import Model
from pipelines.cluster import beam_args
from pipelines.errors import DataError
from pipelines.settings import REPOSITORY, Settings
from pipelines.spec import Cluster
from tests.components.examples import making
from tests.components.statistics.making import statistics_of
from tests.components.transform import features, running
from tests.components.transform.rows import batch

CLUSTER = {
    "kind": "dataflow",
    "project": "a-project",
    "region": "europe-west1",
    "temp_location": "gs://a-bucket/tmp",
    "container_image": "europe-docker.pkg.dev/a-project/daybreak/ml:1",
}


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    given = beam_args(Cluster.model_validate(CLUSTER), Settings(home=REPOSITORY, state=tmp_path))
    return [*given, "--dry_run=true", "--no_auth", "--no_wait_until_finish", "--job_name=a-job"]


@pytest.fixture
def pipelines(monkeypatch: pytest.MonkeyPatch) -> list[beam.Pipeline]:
    """What the executors make."""
    made: list[beam.Pipeline] = []
    make = BaseBeamExecutor._make_beam_pipeline

    def kept(self: Any) -> beam.Pipeline:
        made.append(make(self))
        return made[-1]

    monkeypatch.setattr(BaseBeamExecutor, "_make_beam_pipeline", kept)
    return made


def check(pipelines: list[beam.Pipeline], *steps: str) -> None:
    """Every pipeline ran dry, in one kind of container, and has the step."""
    names = []
    for pipeline in pipelines:
        components = pipeline.result.job.proto_pipeline.components
        payloads = [environment.payload for environment in components.environments.values()]
        docker = beam.portability.api.beam_runner_api_pb2.DockerPayload
        assert {docker.FromString(payload).container_image for payload in payloads} == {CLUSTER["container_image"]}
        names += [transform.unique_name for transform in components.transforms.values()]
    for step in steps:
        assert step in names


def test_examples(tmp_path: Path, arguments: list[str], pipelines: list[beam.Pipeline]) -> None:
    with nothing_written(DataError):
        making.run(tmp_path, making.table(300), arguments=arguments)
    check(pipelines, "Split")


def test_statistics(tmp_path: Path, arguments: list[str], pipelines: list[beam.Pipeline]) -> None:
    examples = making.run(tmp_path, making.table(300))
    pipelines.clear()
    statistics_of(examples, tmp_path, arguments=arguments)
    check(pipelines, "Statistics[train]/Neighbours", "Statistics[eval]/All")


@pytest.mark.parametrize(
    ("function", "steps"),
    [(features.moments, ["Aggregate/Neighbours"]), (features.keyed, ["Read", "Write"])],
    ids=["by kernels", "by stock analysis"],
)
def test_analysis(
    tmp_path: Path, arguments: list[str], pipelines: list[beam.Pipeline], function: Any, steps: list[str]
) -> None:
    with nothing_written(FileNotFoundError):
        transform(tmp_path, arguments, function)
    assert len(pipelines) == 1
    check(pipelines, *steps)


def test_the_graph_on_every_row_group(
    tmp_path: Path, arguments: list[str], pipelines: list[beam.Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    local = transform(tmp_path, running.ONE_WORKER, features.moments)
    pipelines.clear()
    model = local.graph / "transform_fn"
    monkeypatch.setattr(transform_executor.Analysis, "model", lambda self, run: Model(model, None))
    monkeypatch.setattr(transform_executor, "_publish", lambda *given: None)
    transform(tmp_path, arguments, features.moments, target="dry")
    check(pipelines, "Apply/Concurrently")


def transform(folder: Path, arguments: list[str], function: Any, *, target: str = "transformed") -> running.Made:
    splits = {"train": [batch(30, seed=1), batch(20, seed=2)], "eval": [batch(10, seed=3)]}
    running.write_examples(folder / "examples", splits)
    running.write_schema(folder, features.SCHEMA)
    path = f"{features.__name__}.{function.__name__}"
    return running.transform(folder, list(splits), path, folder / target, arguments=arguments)


@contextlib.contextmanager
def nothing_written(error: type[Exception]) -> Iterator[None]:
    """The work after a run that did nothing."""
    with pytest.raises(error):
        yield
