from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from components.serving_check.golden import Golden
from components.serving_check.server_process import ServerFailedError, ServerProcess
from components.serving_check.trial import run_trial
from pipelines.spec import Serving


def test_a_server_that_is_late_is_given_up_and_gone(model: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(ServerFailedError, match=r"not ready within 0.2 s .`serving.start_timeout_secs`."),
        ServerProcess(model, tmp_path, start_timeout_secs=0.2) as server,
    ):
        server.wait_until_ready()
    assert not psutil.pid_exists(server.pid)


def test_a_server_that_hangs_is_not_waited_for(model: Path, tmp_path: Path) -> None:
    with ServerProcess(model, tmp_path, start_timeout_secs=1) as server:
        while not (tmp_path / "port.txt").exists():
            time.sleep(0.02)
        os.kill(server.pid, signal.SIGSTOP)
        with pytest.raises(ServerFailedError, match="not ready within"):
            server.wait_until_ready()
        os.kill(server.pid, signal.SIGKILL)


def test_a_server_that_dies_under_load_is_a_refusal(model: Path, tmp_path: Path) -> None:
    golden = Golden(({"item": "item 3", "price": 1.0},), (0.5,), 0)
    with ServerProcess(model, tmp_path, start_timeout_secs=120) as server:
        server.wait_until_ready()
        killing = threading.Timer(1.0, os.kill, (server.pid, signal.SIGKILL))
        killing.start()
        with pytest.raises(ServerFailedError, match="was killed by signal 9"):
            run_trial(server, golden, Serving(load_secs=3, clients=1), model=model, folder=tmp_path)


def test_no_server_outlives_a_node_that_is_killed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; import time; from components.serving_check.server_process import ServerProcess;"
        f"server = ServerProcess(Path('model'), Path({str(tmp_path)!r}), start_timeout_secs=60);"
        "print(server.pid, flush=True); time.sleep(60)"
    )
    node = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    server = psutil.Process(int(node.stdout.readline()))
    while not (tmp_path / "port.txt").exists():
        time.sleep(0.02)
    assert server.is_running()
    node.kill()
    node.wait()
    psutil.wait_procs([server], timeout=10)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
