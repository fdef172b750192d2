"""A real Flink: job manager, two task managers, workers. The last test ends a task manager in the middle of a stage."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from infra.cluster.lifecycle import bring_up
from tests.infra.cluster.conftest import Running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_the_bytes_are_those_of_the_in_memory_runner_and_both_workers_worked(flink: Running, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for kind, options in {"local": [], "flink": ["--log", str(log)]}.items():
        code, said = flink.aggregate(kind, tmp_path / kind, *options)
        assert code == 0, said
    assert (tmp_path / "flink").read_bytes() == (tmp_path / "local").read_bytes() != b""
    assert len({line.split()[0] for line in log.read_text().splitlines()}) == 2


def test_an_error_of_user_code_arrives_in_its_own_words(flink: Running, tmp_path: Path) -> None:
    code, said = flink.aggregate("flink", tmp_path / "out", "--fail")
    assert code == 1
    assert "ValueError: the user's own words about" in said
    assert not (tmp_path / "out").exists()


def test_up_again_changes_nothing(flink: Running) -> None:
    before = flink.pid("job-manager"), flink.cluster.ports
    bring_up("flink", flink.settings, report=print)
    assert (flink.pid("job-manager"), flink.cluster.ports) == before


def test_a_task_manager_killed_in_the_middle_costs_time_only(flink: Running, tmp_path: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    job = flink.start("flink", out, "--pause-secs", "0.5", "--log", str(log))
    while job.poll() is None and (not log.exists() or len(log.read_text().splitlines()) < 5):
        time.sleep(0.1)
    os.kill(flink.pid("task-manager-1"), signal.SIGKILL)
    said, _ = job.communicate(timeout=280)
    assert job.returncode == 0, said
    assert out.read_text() == f"{[10 * index for index in range(20)]}\n"
    assert len(log.read_text().splitlines()) > 20
    flink.until_healthy()
