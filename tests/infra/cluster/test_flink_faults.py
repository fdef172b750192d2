"""What dies or is damaged while a real stage runs: the same bytes in the end, or an error in the user's words."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from infra.cluster.lifecycle import bring_down
from tests.infra.cluster.conftest import Running
from tests.infra.cluster.interruption import check, copy_of, interrupted, seen

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

END_SECS = 30.0
"""After `cluster down`, for a node that waits for its job; it took five minutes."""


def python_worker(log: Path) -> None:
    os.kill(int(seen(log)[-1].split()[0]), signal.SIGKILL)


def test_a_task_manager_killed_during_statistics(flink: Running, day: Path, tmp_path: Path) -> None:
    check(flink, day, tmp_path, "statistics", lambda log: os.kill(flink.pid("task-manager-1"), signal.SIGKILL))


def test_a_python_worker_killed_during_transform(flink: Running, day: Path, tmp_path: Path) -> None:
    check(flink, day, tmp_path, "transform", python_worker)


def test_a_corrupt_shard_is_said_as_on_this_machine(flink: Running, day: Path, tmp_path: Path) -> None:
    folder = copy_of(day, tmp_path, "flink")
    shard = sorted((folder / "flink" / "examples" / "Split-train").iterdir())[4]
    content = shard.read_bytes()
    shard.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    code, said = flink.stages(folder, "--on", "flink", "--only", "statistics")
    assert code == 65, said
    [line, fix] = said[said.index("daybreak: ") :].splitlines()
    assert line.startswith(f"daybreak: shop: {shard}: a shard of the examples cannot be read: ")
    assert fix == "  Fix: delete the folder of that artifact, and run the examples node again"


def test_a_cluster_that_is_stopped_ends_the_node_at_once(flink: Running, day: Path, tmp_path: Path) -> None:
    """The last test: it leaves no cluster."""
    stopped = []

    def down(log: Path) -> None:
        bring_down("flink", flink.settings, report=print)
        stopped.append(time.monotonic())

    code, said, _ = interrupted(flink, copy_of(day, tmp_path, "flink"), "statistics", down)
    assert time.monotonic() - stopped[0] < END_SECS
    assert code == 75, said
    assert "daybreak cluster up" in said
