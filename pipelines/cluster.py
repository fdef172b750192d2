"""Where a pipeline's Beam stages run: `cluster: local`, `flink`, `spark` or `dataflow` in its spec.

    from pipelines.cluster import beam_args

    beam_args(spec.cluster, settings)            # ["--runner=PortableRunner", "--job_endpoint=127.0.0.1:40123", …]
    beam_args(Cluster(), settings, slots=2)      # [*BEAM_ARGS, "--row_group_threads=2"]

The compiled pipeline and its cache keys are the same for all of them, because the bytes are: a node asks for the
arguments as it starts. `daybreak run … --cluster local`, the trigger form in Airflow and `DAYBREAK_CLUSTER` run a day
elsewhere than its spec says.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.errors import SpecError, TransientError, bounded
from pipelines.settings import Settings
from pipelines.spec import Cluster, ClusterKind

CLUSTER_VARIABLE = "DAYBREAK_CLUSTER"
CONNECT_SECS = 5.0
ENVIRONMENT_CACHE_MILLIS = 3_000
"""Shorter than the pause before Flink starts a job again (`infra.cluster.flink`): else that job gets the workers of the
last one back, the one that died among them, as long as there are attempts."""

# Nobody is shipped anything: without an image, every node packs TFX for its workers first, a second each.
_NOTHING_SHIPPED = "--sdk_container_image=none"

# Never the default: since Beam 2.68 `DirectRunner` prefers a binary that it downloads. One worker of Beam: further
# processes would import TensorFlow again, and its threads lose data (components/concurrency.py, which has its own).
BEAM_ARGS = [
    "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    "--direct_running_mode=in_memory",
    "--direct_num_workers=1",
    _NOTHING_SHIPPED,
]


def chosen(cluster: Cluster, environ: Mapping[str, str] | None = None, *, asked: str = "") -> Cluster:
    """The spec's, or the kind that is asked for with its defaults: by the run, else by `DAYBREAK_CLUSTER`."""
    name = asked or (os.environ if environ is None else environ).get(CLUSTER_VARIABLE, "")
    if not name or name == cluster.kind:
        return cluster
    if name not in list(ClusterKind):
        raise SpecError(
            f"the cluster of a run must be one of {bounded(ClusterKind)}. Received: {name}",
            fix=f"correct `--cluster` or {CLUSTER_VARIABLE}, or leave them out",
        )
    try:
        return Cluster.model_validate(name)
    except ValidationError as error:  # Dataflow has no defaults
        raise SpecError(
            f"`{name}` needs settings that only a spec can give",
            fix=f"write them under `cluster:` with `kind: {name}`",
        ) from error


def beam_args(cluster: Cluster, settings: Settings, *, slots: int | None = None) -> list[str]:
    """The arguments of one node.

    Args:
        slots: of the pool, when the spec declares them for the node: it takes no more threads of this machine.

    Raises:
        TransientError: the job server does not answer.
        SpecError: a variable is not set.
    """
    match cluster.kind:
        case ClusterKind.LOCAL:
            return [*BEAM_ARGS, f"--row_group_threads={_threads(cluster, slots)}"]
        case ClusterKind.DATAFLOW:
            return _dataflow(cluster, settings)
        case ClusterKind.FLINK | ClusterKind.SPARK:
            return _portable(cluster, settings)


def _threads(cluster: Cluster, slots: int | None) -> int:
    wanted = cluster.workers or len(os.sched_getaffinity(0))
    return min(wanted, slots) if slots else wanted


def _portable(cluster: Cluster, settings: Settings) -> list[str]:
    """Workers are asked for at the pool of each machine (`EXTERNAL`): no container, and the imports are done."""
    known = _running(cluster, settings) if not cluster.job_endpoint else {}
    endpoint = settings.expand(cluster.job_endpoint) or str(known["job_endpoint"])
    if not _answers(endpoint):
        raise TransientError(
            f"the job server of {cluster.kind} must answer. Received: nothing at {endpoint}", fix=_start(cluster)
        )
    arguments = [
        "--runner=PortableRunner",
        f"--job_endpoint={endpoint}",
        "--environment_type=EXTERNAL",
        f"--environment_config={cluster.worker_pool or known.get('worker_pool') or 'localhost:50000'}",
        # Else a new worker for each stage of the job.
        f"--environment_cache_millis={ENVIRONMENT_CACHE_MILLIS}",
        _NOTHING_SHIPPED,
        *cluster.beam_args,
    ]
    workers = cluster.workers or known.get("workers")
    if cluster.kind is ClusterKind.FLINK:
        return [*arguments, *([f"--parallelism={workers}"] if workers else [])]
    return [*arguments, *([f"--files_to_stage={settings.home / 'pyproject.toml'}"] if known else [])]


def _dataflow(cluster: Cluster, settings: Settings) -> list[str]:
    temporary = settings.expand(cluster.temp_location)
    return [
        "--runner=DataflowRunner",
        f"--project={settings.expand(cluster.project)}",
        f"--region={settings.expand(cluster.region)}",
        f"--temp_location={temporary}",
        f"--staging_location={temporary.rstrip('/')}/staging",
        f"--sdk_container_image={settings.expand(cluster.container_image)}",
        *([f"--num_workers={cluster.workers}", f"--max_num_workers={cluster.workers}"] if cluster.workers else []),
        *cluster.beam_args,
    ]


def _running(cluster: Cluster, settings: Settings) -> Mapping[str, Any]:
    try:
        found: dict[str, Any] = json.loads(cluster_file(settings, cluster.kind).read_bytes())
    except (OSError, ValueError) as error:
        raise TransientError(
            f"`cluster: {cluster.kind}` without `job_endpoint` is the one of this machine, which does not run",
            fix=_start(cluster),
        ) from error
    return found


def _start(cluster: Cluster) -> str:
    return f"daybreak cluster up {cluster.kind}, or {CLUSTER_VARIABLE}=local"


def _answers(endpoint: str) -> bool:
    host, _, port = endpoint.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECS).close()
    except (OSError, ValueError):
        return False
    return True


def cluster_file(settings: Settings, kind: str) -> Path:
    """Written by `daybreak cluster up`."""
    return settings.state / "cluster" / kind / "cluster.json"
