"""Training in processes of its own: real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.training.checkpoint import Arrays
from components.training.history import History
from components.training.interruption import Request
from components.training.job import Job
from components.training.launch import launch
from components.training.loop import read_trained
from pipelines.errors import TransientError, UserCodeError
from tests.components.training.conftest import Transformed, job_in
from tests.components.training.test_loop import MakeJob, assert_same, run

pytestmark = pytest.mark.slow

# The order in which gradients of replicas are added differs, and Adam divides by their size: the bound is for weights
# of size 1 after 24 steps.
TOLERANCE = 1e-4


def launched(job: Job, *, processes: int, request: Request | None = None) -> tuple[Arrays, History]:
    launch(job, processes=processes, request=request or Request())
    trained = read_trained(job)
    return trained.weights, trained.history


def assert_close(left: Arrays, right: Arrays) -> None:
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name], right[name], atol=TOLERANCE, err_msg=name)


def wait_for(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(("strategy", "processes"), [("mirrored", 1), ("multi_worker", 2)])
def test_two_replicas_equal_one_device(make_job: MakeJob, strategy: str, processes: int) -> None:
    alone, alone_history = run(make_job("alone"))
    together, history = launched(make_job("together", strategy=strategy, devices=2), processes=processes)
    assert (history.replicas, history.steps) == (2, alone_history.steps)
    assert_close(together, alone)
    for one, two in zip(alone_history.epochs, history.epochs, strict=True):
        assert two.metrics == pytest.approx(one.metrics, abs=1e-3)


TOGETHER = {"strategy": "multi_worker", "devices": 2, "hyperparameters": {"dropout": 0.3, "norm": True}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, transformed: Transformed) -> Arrays:
    """Weights of two workers that nobody killed."""
    return launched(job_in(tmp_path_factory.mktemp("undisturbed"), transformed, **TOGETHER), processes=2)[0]


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
def test_a_dead_or_stuck_worker_restarts_all_and_changes_nothing(
    name: str,
    undisturbed: Arrays,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    order = tmp_path / "kill"
    order.write_text(f"1 8 {name}")
    monkeypatch.setenv("KILL_FILE", str(order))
    resumed, history = launched(make_job("killed", **TOGETHER), processes=2)
    assert not order.exists()
    assert history.resumed_from == (5,)
    assert "all 2 workers restart from step-000000000005.npz" in capfd.readouterr().out
    assert_same(undisturbed, resumed)


def test_sigterm_saves_and_the_next_try_resumes(make_job: MakeJob) -> None:
    settings = {"strategy": "mirrored", "devices": 2, "epochs": 400, "checkpoint_every_steps": 100}
    job, request = make_job(**settings), Request()

    def stop_in_the_middle() -> None:
        wait_for(lambda: any(job.checkpoints.glob("step-*")))
        request.signal_name = "SIGTERM"

    stopper = threading.Thread(target=stop_in_the_middle)
    stopper.start()
    with pytest.raises(TransientError, match="saved after step"):
        launch(job, processes=1, request=request)
    stopper.join()
    steps = max(int(path.stem.removeprefix("step-")) for path in job.checkpoints.glob("step-*.npz"))
    assert steps % 100
    assert steps < 4800


def test_the_users_error_comes_back_as_it_was(make_job: MakeJob) -> None:
    job = make_job(strategy="multi_worker", devices=2, hyperparameters={"raises": True})
    with pytest.raises(UserCodeError, match="KeyError: 'no such feature'"):
        launch(job, processes=2, request=Request())


def test_workers_die_with_their_supervisor(make_job: MakeJob) -> None:
    job = make_job(strategy="mirrored", devices=2, epochs=10_000)
    code = (
        "import sys; from pathlib import Path; from components.training.launch import launch\n"
        "from components.training.job import Job; from components.training.interruption import Request\n"
        "launch(Job.read(Path(sys.argv[1])), processes=1, request=Request())"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", code, str(job.write())], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: any(job.checkpoints.glob("step-*")))
        children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()
        assert len(children) == 1
    finally:
        supervisor.send_signal(signal.SIGKILL)
        supervisor.wait()
    wait_for(lambda: not Path(f"/proc/{children[0]}").exists() or _is_zombie(int(children[0])), seconds=10)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_kill_9_of_one_device_mid_epoch(make_job: MakeJob, tmp_path: Path) -> None:
    """The process that trains is killed by its own callback; a new process takes over."""
    settings = {"hyperparameters": {"dropout": 0.3, "norm": True}}
    whole, _ = run(make_job("whole", **settings))
    job, order = make_job("killed", **settings), tmp_path / "kill"
    order.write_text("0 17 SIGKILL")
    code = (
        "import sys; from pathlib import Path; from components.training.executor import run_job\n"
        "from components.training.job import Job; run_job(Job.read(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(job.write())]
    environment = {**os.environ, "KILL_FILE": str(order)}
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    trained = read_trained(job)
    assert trained.history.resumed_from == (15,)
    assert_same(whole, trained.weights)
