"""A task that runs a command of the ML environment: `python -m pipelines.node …`.

It runs in the warm worker when there is one, else as a cold process. What it prints appears in the task's log at once;
killing the task kills the process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from airflow.sdk import BaseOperator, ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowException

from dags.child_environment import child_environment
from pipelines.settings import Settings
from pipelines.worker_client import NodeProcess, start_node, worker_socket

KILL_GRACE_SECS = 4.0
"""Between TERM and KILL when Airflow kills the task; Airflow itself follows with KILL after 5 s."""
TIMEOUT_GRACE_SECS = 20.0
"""The same after `execution_timeout`, when nobody is in a hurry."""


class NodeFailedForNow(AirflowException):
    """The node was killed, or failed for a reason that may be gone on the next try."""


ONLY_WHEN_IT_HELPS = ExceptionRetryPolicy(
    rules=[RetryRule(NodeFailedForNow, action=RetryAction.RETRY, reason="the exit code says that a retry can help")]
)


class CommandOperator(BaseOperator):
    """What operators share that run a command."""

    _process: NodeProcess | None = None
    _killed = False

    def on_kill(self) -> None:
        """Runs in a signal handler over `execute`, which goes on to see the node end."""
        self._killed = True
        if self._process is None:
            return
        self._process.terminate()
        timer = threading.Timer(KILL_GRACE_SECS, self._process.kill)
        timer.daemon = True
        timer.start()

    def _run(self, arguments: Sequence[str], *, name: str, settings: Settings, environ: Mapping[str, str]) -> int:
        """Exit code. `arguments` are those of `python -m pipelines.node`."""
        with self._log_lines() as descriptor:
            self._process = start_node(
                arguments,
                ml_python=settings.python("ml"),
                worker_socket=worker_socket(settings),
                environ=child_environment(os.environ, environ),
                cwd=settings.home,
                stdout=descriptor,
                stderr=descriptor,
            )
            where = "in the warm worker" if self._process.warm else "cold, without a warm worker"
            self.log.info("%s runs %s, process %s", name, where, self._process.pid)
            if self._killed:  # the signal came while the node was starting
                self.on_kill()
            try:
                return self._process.wait()
            except BaseException:
                self._process.stop(grace_secs=TIMEOUT_GRACE_SECS)
                raise

    @contextmanager
    def _log_lines(self) -> Iterator[int]:
        """A file descriptor whose lines go to the task's log as they come."""
        reading, writing = os.pipe()
        reader = threading.Thread(target=self._follow, args=(reading,), daemon=True)
        reader.start()
        try:
            yield writing
        finally:
            os.close(writing)
            reader.join(timeout=KILL_GRACE_SECS)  # a stray grandchild may hold the pipe open

    def _follow(self, descriptor: int) -> None:
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self.log.info("%s", line.rstrip("\n"))
