"""From a `cluster:` of a spec to the arguments of Beam."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest

from components.aggregation import Aggregate
from pipelines.cluster import BEAM_ARGS, beam_args, chosen, cluster_file
from pipelines.errors import SpecError, TransientError
from pipelines.settings import REPOSITORY, Settings
from pipelines.spec import Cluster
from tests.infra.cluster.concatenation import Concatenation

CORES = len(os.sched_getaffinity(0))
DATAFLOW = {
    "kind": "dataflow",
    "project": "a-project",
    "region": "europe-west1",
    "temp_location": "gs://${BUCKET:-a-bucket}/tmp/",
    "container_image": "europe-docker.pkg.dev/a-project/daybreak/ml:1",
    "workers": 8,
    "beam_args": ["--machine_type=n2-standard-8"],
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=REPOSITORY, state=tmp_path)


@pytest.fixture
def endpoint() -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def announce(settings: Settings, kind: str, endpoint: str) -> None:
    file = cluster_file(settings, kind)
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"job_endpoint": endpoint, "worker_pool": "127.0.0.1:5", "workers": 2}))


@pytest.mark.parametrize(
    ("workers", "slots", "threads"),
    [(None, None, CORES), (CORES + 3, None, CORES + 3), (None, 1, 1), (8, 2, 2), (2, 8, 2)],
    ids=["every core", "the spec's", "no more than its slots", "slots bound workers", "slots are a bound only"],
)
def test_local_is_the_runner_in_memory_over_threads(
    settings: Settings, workers: int | None, slots: int | None, threads: int
) -> None:
    found = beam_args(Cluster(workers=workers), settings, slots=slots)
    assert found == [*BEAM_ARGS, f"--row_group_threads={threads}"]


def test_the_cluster_of_this_machine_is_found(settings: Settings, endpoint: str) -> None:
    announce(settings, "flink", endpoint)
    arguments = beam_args(Cluster.model_validate("flink"), settings)
    assert {"--runner=PortableRunner", f"--job_endpoint={endpoint}", "--environment_config=127.0.0.1:5"} < {*arguments}
    assert "--parallelism=2" in arguments


def test_settings_win_over_the_cluster_of_this_machine(
    settings: Settings, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS", endpoint)
    given = {"kind": "flink", "job_endpoint": "${JOBS}", "workers": 64, "beam_args": ["--object_reuse"]}
    arguments = beam_args(Cluster.model_validate(given), settings)
    expected = {
        f"--job_endpoint={endpoint}",
        "--environment_config=localhost:50000",
        "--parallelism=64",
        "--object_reuse",
    }
    assert expected < {*arguments}


def test_a_cluster_that_does_not_run_is_said_with_the_command_that_starts_it(settings: Settings, endpoint: str) -> None:
    with pytest.raises(TransientError, match="daybreak cluster up spark"):
        beam_args(Cluster.model_validate("spark"), settings)
    announce(settings, "spark", "127.0.0.1:1")
    with pytest.raises(TransientError, match=r"nothing at 127\.0\.0\.1:1"):
        beam_args(Cluster.model_validate("spark"), settings)


def test_a_run_may_choose_another_cluster_than_its_spec() -> None:
    spark = Cluster.model_validate("spark")
    assert chosen(spark, {}) is spark
    assert chosen(spark, {"DAYBREAK_CLUSTER": "local"}) == Cluster()
    assert chosen(spark, {"DAYBREAK_CLUSTER": "local"}, asked="flink") == Cluster.model_validate("flink")
    with pytest.raises(SpecError, match="must be one of local, flink, spark, dataflow. Received: yarn"):
        chosen(spark, {"DAYBREAK_CLUSTER": "yarn"})
    with pytest.raises(SpecError, match="settings that only a spec can give"):
        chosen(spark, {"DAYBREAK_CLUSTER": "dataflow"})


def test_dataflow_accepts_the_graph_without_being_asked_to_run_it(settings: Settings) -> None:
    """Translation for Dataflow: coders, keys of groupings, one container for all stages. Nothing leaves this machine."""
    cluster = Cluster.model_validate(DATAFLOW)
    arguments = [*beam_args(cluster, settings), "--dry_run=true", "--no_auth", "--job_name=a-job"]
    pipeline = beam.Pipeline(argv=arguments)
    _ = pipeline | beam.Create([(0, 1), (1, 2)]) | Aggregate(Concatenation()) | beam.Map(str)
    job = pipeline.run().job
    images = {
        beam.portability.api.beam_runner_api_pb2.DockerPayload.FromString(environment.payload).container_image
        for environment in job.proto_pipeline.components.environments.values()
    }
    assert images == {DATAFLOW["container_image"]}
    urns = {transform.spec.urn for transform in job.proto_pipeline.components.transforms.values()}
    assert "beam:transform:group_by_key:v1" in urns
    options = job.options.get_all_options(drop_default=True)
    assert options["staging_location"].startswith("gs://a-bucket/tmp/staging")
    assert (options["num_workers"], options["machine_type"]) == (8, "n2-standard-8")
