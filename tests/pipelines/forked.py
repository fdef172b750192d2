"""Runs node commands in forks of the test process, which has the imports: half a second instead of ten.

node = ForkedNode(["run", …], environ={…}, output=tmp_path / "out")
node.wait(), node.output()
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.warm_imports import HEAVY


class ForkedNode:
    """One process that runs the given commands one after the other, up to the first that fails."""

    def __init__(self, *commands: Sequence[str], environ: Mapping[str, str], output: Path) -> None:
        self._output = output
        self.pid = os.fork()
        if self.pid == 0:
            _run(commands, environ, output)

    def wait(self) -> int:
        """Exit code; negative when a signal ended it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def output(self) -> str:
        return self._output.read_text()


class FreshNode:
    """The same, forked from a process that has the imports and never did a thing, as the warm worker's nodes are.

    Polars waits for ever in a fork of a process that used it: its threads are not there.
    """

    def __init__(self, *commands: Sequence[str], environ: Mapping[str, str], output: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(HEAVY))
        self._output, self._process = output, context.Process(target=_run, args=(commands, dict(environ), output))
        self._process.start()

    def wait(self) -> int:
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode

    def output(self) -> str:
        return self._output.read_text()


def _run(commands: Sequence[Sequence[str]], environ: Mapping[str, str], output: Path) -> None:
    code = 99
    try:
        with output.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
        os.environ.update(environ)
        faulthandler.disable()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        _forget_threads_of_beam()
        from pipelines.node.command import main

        code = 0
        for argv in commands:
            code = code or main(argv)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _forget_threads_of_beam() -> None:
    """Its pool would hand work to threads of the parent, which a fork does not have."""
    from apache_beam.utils import thread_pool_executor

    thread_pool_executor.shared_unbounded_instance().__init__()


def wait_for(path: Path, *, secs: float = 30) -> str:
    """Content of a file that another process will write."""
    deadline = time.monotonic() + secs
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear within {secs} s")
