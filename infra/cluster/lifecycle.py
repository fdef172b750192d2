"""`daybreak cluster up`, `down`, `status`."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import httpx

from infra.cluster import jars
from infra.cluster.layout import WORKERS, Cluster, Kind
from infra.java import FIX, find_java
from infra.services import leftovers
from infra.services.configuration import HOST
from infra.services.sockets import make_socket_folders, remove_socket_folders
from infra.services.supervisor import Supervisor
from pipelines.cluster import cluster_file
from pipelines.errors import ResourceError, TransientError
from pipelines.settings import Settings

Report = Callable[[str], None]
HEALTHY_TIMEOUT_SECS = 300.0
GRACE_SECS = 10.0
PROBE_SECS = 3.0
POLL_SECS = 0.5


class Row(NamedTuple):
    name: str
    ok: bool
    detail: str


def bring_up(kind: Kind, settings: Settings, *, report: Report) -> Cluster:
    """Starts what is missing and waits until two workers are registered.

    Raises:
      ResourceError: Java or Maven is missing, or the ML environment is not built.
      TransientError: it did not get healthy in time.
    """
    java = _java()
    if not settings.python("ml").exists():
        raise ResourceError(f"workers need the ML environment. Received: no {settings.python('ml')}", fix="make env")
    cluster = Cluster.of(kind, settings, java=java)
    with _alone(cluster):
        jars.fetch(kind, cluster.folder, report=report)
        supervisor = Supervisor(cluster.supervision)
        if supervisor.pid() is None:
            _end_leftovers(cluster)
            cluster = cluster.with_ports()
        for name in ("tmp", "logs", "artifacts"):
            (cluster.folder / name).mkdir(exist_ok=True)
        cluster.write_files()
        make_socket_folders(cluster.supervision.sockets)
        programs = cluster.programs()
        supervisor.ensure(programs)
        for program in programs:
            supervisor.start(program.name)
        _wait(cluster, supervisor)
        cluster.announce()
    report(f"{kind}: {WORKERS} workers, jobs at {cluster.address('job')}, page http://{cluster.address('web')}")
    return cluster


def bring_down(kind: Kind, settings: Settings, *, report: Report) -> None:
    """Nothing is left running; the jars stay. Raises `ResourceError` when a process could not be ended."""
    cluster = Cluster.of(kind, settings)
    if not cluster.folder.exists():
        report(f"{kind}: was never started here")
        return
    with _alone(cluster):
        cluster_file(settings, kind).unlink(missing_ok=True)
        Supervisor(cluster.supervision).shut_down()
        stubborn = _end_leftovers(cluster)
        if stubborn:
            raise ResourceError(f"processes {sorted(stubborn)} cannot be ended", fix="end them as their own user")
        remove_socket_folders(cluster.supervision.sockets)
        for name in ("tmp", "work", "artifacts"):
            shutil.rmtree(cluster.folder / name, ignore_errors=True)
    report(f"{kind}: nothing is running")


def rows(kind: Kind, settings: Settings) -> list[Row]:
    """Empty when it does not run."""
    cluster = Cluster.of(kind, settings)
    processes = Supervisor(cluster.supervision).processes() if cluster.folder.exists() else {}
    found = [Row(info.name, info.running, info.detail) for info in processes.values()]
    return [*found, _health(cluster)] if found else []


def _java() -> str:
    java, problem = find_java(os.environ)
    if problem:
        raise ResourceError(f"a cluster needs a JDK. Received: {problem}", fix=FIX)
    return java


def _wait(cluster: Cluster, supervisor: Supervisor) -> None:
    deadline = time.monotonic() + HEALTHY_TIMEOUT_SECS
    while not (health := _health(cluster)).ok:
        given_up = [info.name for info in supervisor.processes().values() if info.state == "FATAL"]
        if given_up or time.monotonic() > deadline:
            names = given_up or ["job-server", "worker-pool"]
            logs = " ".join(str(cluster.folder / "logs" / f"{name}.log") for name in names)
            raise TransientError(f"the {cluster.kind} cluster is not healthy: {health.detail}", fix=f"read {logs}")
        time.sleep(POLL_SECS)


def _health(cluster: Cluster) -> Row:
    """Whether both workers are registered, and the job server and the worker pool answer."""
    if not cluster.ports:
        return Row("cluster", False, "no ports")
    try:
        workers = _registered(cluster)
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return Row("cluster", False, f"its page does not answer: {error}")
    closed = [name for name in ("job", "pool") if not _answers(cluster.ports[name])]
    detail = f"{workers} of {WORKERS} workers" + "".join(f", the {name} port is closed" for name in closed)
    return Row("cluster", workers == WORKERS and not closed, detail)


def _registered(cluster: Cluster) -> int:
    page = {"flink": "overview", "spark": "json/"}[cluster.kind]
    answer = httpx.get(f"http://{cluster.address('web')}/{page}", timeout=PROBE_SECS, trust_env=False)
    return int(answer.raise_for_status().json()[{"flink": "taskmanagers", "spark": "aliveworkers"}[cluster.kind]])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(PROBE_SECS)
        return probe.connect_ex((HOST, port)) == 0


def _end_leftovers(cluster: Cluster) -> set[int]:
    """Of a supervisor that was killed; returns what cannot be ended."""
    left = leftovers.tagged(str(cluster.folder))
    return leftovers.end(left, grace_secs=GRACE_SECS) if left else set()


@contextlib.contextmanager
def _alone(cluster: Cluster) -> Iterator[None]:
    """Two `up` at once: the second waits, then finds everything running."""
    cluster.folder.mkdir(parents=True, exist_ok=True)
    with (cluster.folder / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
