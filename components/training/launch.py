"""Training processes of one job on this host, supervised: they end together or start again together.

    launch(job, processes=2, request=request)

A worker that lost a peer can only exit, and a lone restarted one never joins the others, so when one dies all are
killed and all start again from the last checkpoint. A worker may be stuck where SIGTERM does not reach it: SIGKILL
follows.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from components.training.checkpoint import Checkpoints
from components.training.interruption import Request
from components.training.job import Job
from components.training.worker_failure import read_failure
from pipelines.errors import DaybreakError, TransientError

POLL_SECS = 0.1
# Between the first worker's death and the SIGKILL of the rest: time for the others to say what happened to them.
FAREWELL_SECS = 5.0
# Between SIGTERM and SIGKILL when the node is stopped: the step that runs is finished and saved.
GRACE_SECS = 60.0
FRUITLESS_RESTARTS = 3
"""Restarts without a new checkpoint in between before the node gives up."""


def launch(job: Job, *, processes: int, request: Request) -> None:
    """Runs `job` in `processes` worker processes until it is trained.

    Raises:
        DaybreakError: what a worker raised, when starting again cannot help.
        TransientError: asked to stop, or the workers keep dying.
    """
    checkpoints = Checkpoints(job.checkpoints, digest=job.digest)
    fruitless = 0
    while True:
        before = checkpoints.newest_name()
        team = _Team(job, processes)
        failure = team.run(request)
        if failure is None:
            return
        if not failure.retryable or request.asked:
            raise failure
        newest = checkpoints.newest_name()
        fruitless = fruitless + 1 if newest == before else 1
        if fruitless > FRUITLESS_RESTARTS:
            raise TransientError(
                f"workers died {fruitless} times without a new checkpoint; last: {failure.message}",
                fix=f"read {team.logs}/worker-*.log",
                place=job.place,
            ) from failure
        print(f"train: {failure.message}; all {processes} workers restart from {newest or 'the start'}", flush=True)


class _Team:
    """One life of the worker processes."""

    def __init__(self, job: Job, processes: int) -> None:
        self._job, self._size = job, processes
        self.logs = job.folder / "workers"

    def run(self, request: Request) -> DaybreakError | None:
        """None when all ended well; else why not. No process is left behind in either case."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for old in self.logs.glob("*.json"):
            old.unlink()
        job_file, cluster = self._job.write(), _free_addresses(self._size)
        workers: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(self._size):
                workers.append(self._start(rank, job_file, cluster))
            self._watch(workers, request)
        finally:
            _kill(workers)
        return self._verdict(workers, request)

    def _start(self, rank: int, job_file: Path, cluster: list[str]) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
        environment.pop("TF_CONFIG", None)
        if len(cluster) > 1:
            task = {"cluster": {"worker": cluster}, "task": {"type": "worker", "index": rank}}
            environment["TF_CONFIG"] = json.dumps(task)
        command = [sys.executable, "-m", "components.training.worker", str(job_file), str(os.getpid())]
        with (self.logs / f"worker-{rank}.log").open("ab") as log:
            # The chief's progress is the node's progress; what the others say is kept beside it.
            output: IO[bytes] | None = None if rank == 0 else log
            return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=log)

    def _watch(self, workers: list[subprocess.Popen[bytes]], request: Request) -> None:
        """Returns when all have ended, or when those that have not are to be killed."""
        asked_at = failed_at = None
        while any(worker.poll() is None for worker in workers):
            now = time.monotonic()
            if request.asked and asked_at is None:
                asked_at = now
                for worker in workers:
                    worker.terminate()
            if failed_at is None and any(worker.returncode not in (None, 0) for worker in workers):
                failed_at = now
            if failed_at is not None and now - failed_at > FAREWELL_SECS:
                return
            if asked_at is not None and now - asked_at > GRACE_SECS:
                return
            time.sleep(POLL_SECS)

    def _verdict(self, workers: list[subprocess.Popen[bytes]], request: Request) -> DaybreakError | None:
        codes = [worker.returncode for worker in workers]
        if not any(codes):
            return None
        failures = [failure for rank in range(self._size) if (failure := read_failure(self.logs, rank))]
        # The one that a retry cannot mend is the cause; the others only lost their peer.
        failures.sort(key=lambda failure: failure.retryable)
        if failures and (not failures[0].retryable or request.asked):
            return failures[0]
        died = [f"worker {rank} {_ending(code)}" for rank, code in enumerate(codes) if code]
        return TransientError(
            ", ".join(died), fix=f"read {self.logs}/worker-*.log; the next try resumes", place=self._job.place
        )


def _ending(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"


def _kill(workers: list[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        if worker.poll() is None:
            worker.kill()
    for worker in workers:
        worker.wait()


def _free_addresses(count: int) -> list[str]:
    """Loopback addresses with ports that are free now; should one be taken before its worker binds it, all restart."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    finally:
        for each in sockets:
            each.close()
