"""Workers come from forks of a process that has the imports, over the protocol a task manager speaks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import psutil
import pytest

from components.aggregation import Aggregate
from pipelines import worker_pool
from tests.infra.cluster.concatenation import Concatenation, refuse

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pool() -> Iterator[list[str]]:
    """Arguments of Beam; its own job server stands in for a cluster's."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(worker_pool, "HEAVY", ("apache_beam", "pandas"))
        with worker_pool.serving() as port:
            yield [
                "--runner=PortableRunner",
                "--job_endpoint=embed",
                "--environment_type=EXTERNAL",
                f"--environment_config=127.0.0.1:{port}",
                "--sdk_container_image=none",
            ]


def aggregate(arguments: list[str], log: Path, *, fail: bool = False) -> None:
    with beam.Pipeline(argv=arguments) as pipeline:
        numbers = pipeline | beam.Create([(index, index) for index in range(5)])
        if fail:
            numbers |= beam.Map(refuse)
        _ = numbers | Aggregate(Concatenation(log=str(log)))


def test_work_is_done_by_another_process_that_ends_with_the_job(pool: list[str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    aggregate(pool, log)
    lines = [line.split() for line in log.read_text().splitlines()]
    assert sorted(int(element) for _, element in lines) == list(range(5))
    [worker] = {int(pid) for pid, _ in lines}
    assert worker != os.getpid()
    deadline = time.monotonic() + 20
    while psutil.pid_exists(worker) and psutil.Process(worker).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_job_that_fails_says_why_and_the_next_one_runs(pool: list[str], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the user's own words about"):
        aggregate(pool, tmp_path / "log", fail=True)
    aggregate(pool, tmp_path / "log")
    assert len((tmp_path / "log").read_text().splitlines()) == 5


def test_only_this_machine_reaches_it(pool: list[str]) -> None:
    ours = psutil.Process().net_connections("tcp")
    port = int(pool[3].rpartition(":")[2])
    [listening] = {each.laddr.ip for each in ours if each.status == psutil.CONN_LISTEN and each.laddr.port == port}
    assert listening in ("127.0.0.1", "::ffff:127.0.0.1")
