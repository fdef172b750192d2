"""A real stage of a day on a cluster, of which something is killed in the middle.

check(flink, day, tmp_path, "statistics", lambda log: os.kill(flink.pid("task-manager-1"), signal.SIGKILL))
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.infra.cluster.conftest import Running

DIFFERENT = {"saved_model.pb", "fingerprint.pb"}
"""TensorFlow numbers the functions of a SavedModel as it meets them in the process."""


def contents(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in sorted(found.items()) if path.name not in DIFFERENT}


def copy_of(day: Path, folder: Path, kind: str) -> Path:
    """The day, and its examples as those that the cluster would have made."""
    subprocess.run(["cp", "-r", day / "rows", folder], check=True)
    (folder / kind).mkdir()
    subprocess.run(["cp", "-r", day / "local" / "examples", folder / kind], check=True)
    return folder


def seen(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def interrupted(cluster: Running, folder: Path, stage: str, kill: Callable[[Path], None]) -> tuple[int, str, Path]:
    """Runs the stage, calls `kill` with its log in the middle, and waits."""
    log = folder / "log"
    job = cluster.start_stages(folder, "--on", cluster.kind, "--only", stage, "--log", str(log))
    while job.poll() is None and len(seen(log)) < 4:
        time.sleep(0.1)
    assert job.poll() is None, job.communicate()[0]
    kill(log)
    said, _ = job.communicate(timeout=600)
    return job.returncode, said, log


def check(cluster: Running, day: Path, folder: Path, stage: str, kill: Callable[[Path], None]) -> None:
    folder = copy_of(day, folder, cluster.kind)
    code, said, log = interrupted(cluster, folder, stage, kill)
    assert code == 0, said
    assert contents(folder / cluster.kind / stage) == contents(day / "local" / stage) != {}
    assert len(seen(log)) > len({line.split()[1] for line in seen(log)}), "nothing was lost"
    cluster.until_healthy()
