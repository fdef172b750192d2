"""Runs one node command: in the warm worker when there is one, else as a cold process. Same result either way.

    from pipelines.worker_client import start_node

    node = start_node(
        ["run", "--manifest", "shop.json", "--node", "train", "--run-id", "shop-1", "--day", "2026-01-05"],
        ml_python=settings.python("ml"), worker_socket=worker_socket(settings),
    )
    node.terminate()        # e.g. from an operator's on_kill
    node.wait()             # exit code; 128 + n for signal n

As a command: `python -m pipelines.worker_client run --manifest …` forwards SIGTERM and SIGINT.
Standard library only, so that it can be imported in Airflow's environment.

Protocol, over a Unix stream socket: the client sends one line of JSON (`argv`, `environ`, `cwd`) with its stdout and
stderr as SCM_RIGHTS; the worker answers `{"started": pid}` and later `{"exit": code}`; in between the client may send
`{"signal": number}`. A client that hangs up takes its node down.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from pipelines.settings import Settings

WORKER_DIED = 75
"""Exit code of a node whose worker vanished: what `TransientError` has, because a retry runs cold or in the next worker."""

START_TIMEOUT_SECS = 60.0
"""A worker that loads changed code again answers in about 20 s; one that is stuck is left alone after this."""

PARENT_VARIABLE = "DAYBREAK_PARENT"
"""Tells a cold node whose child it is, so that it ends when that process is killed."""


class NodeProcess(ABC):
    """A started node."""

    pid: int
    """Process, and process group, of the node."""
    warm: bool
    """Whether a worker runs it."""

    @abstractmethod
    def wait(self, timeout_secs: float | None = None) -> int:
        """Exit code, 128 + n when signal n ended it. Raises `TimeoutError`; waiting again is fine."""

    @abstractmethod
    def send_signal(self, number: int) -> None:
        """Passes a signal on; nothing happens when the node has ended."""

    def terminate(self) -> None:
        """Asks the node to clean up and end: it publishes its execution as canceled and leaves no half artifact."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def stop(self, *, grace_secs: float = 20.0) -> int:
        """`terminate`, then `kill` when the node is still there after the grace."""
        self.terminate()
        try:
            return self.wait(grace_secs)
        except TimeoutError:
            self.kill()
            return self.wait()


class ColdNode(NodeProcess):
    """A fresh interpreter in its own session."""

    warm = False

    def __init__(
        self, command: Sequence[str], *, environ: Mapping[str, str], cwd: Path, stdout: int, stderr: int
    ) -> None:
        self._process = subprocess.Popen(
            list(command),
            env={**environ, PARENT_VARIABLE: str(os.getpid())},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def wait(self, timeout_secs: float | None = None) -> int:
        try:
            code = self._process.wait(timeout_secs)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"node {self.pid} still runs after {timeout_secs:g} s") from error
        self._kill_group()  # what the node itself started must not outlive it
        return code if code >= 0 else 128 - code

    def send_signal(self, number: int) -> None:
        if self._process.poll() is not None:
            return
        if number == signal.SIGKILL:
            self._kill_group()
        else:
            self._process.send_signal(number)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


class WarmNode(NodeProcess):
    """A child of the worker, seen through the socket."""

    warm = True

    def __init__(self, connection: socket.socket, *, pid: int, received: bytes) -> None:
        self._connection, self.pid, self._received = connection, pid, received
        self._exit_code: int | None = None

    def wait(self, timeout_secs: float | None = None) -> int:
        deadline = None if timeout_secs is None else time.monotonic() + timeout_secs
        while self._exit_code is None:
            try:
                message, self._received = _read_message(self._connection, self._received, deadline=deadline)
            except ConnectionError:
                message = {"exit": WORKER_DIED}
            if "exit" in message:
                self._exit_code = int(message["exit"])
                self._connection.close()
        return self._exit_code

    def send_signal(self, number: int) -> None:
        if self._exit_code is None:
            with contextlib.suppress(OSError):  # the worker is gone, and the node with it
                self._connection.sendall(_encode({"signal": int(number)}))


def worker_socket(settings: Settings, environ: Mapping[str, str] | None = None) -> Path | None:
    """Where the worker listens: `DAYBREAK_WORKER_SOCKET`, else what `daybreak up` wrote; none when neither is known."""
    environ = os.environ if environ is None else environ
    path = environ.get("DAYBREAK_WORKER_SOCKET")
    if path is None:
        path = settings.services.get("worker", {}).get("socket")
    return Path(path) if path else None


def start_node(
    argv: Sequence[str],
    *,
    ml_python: Path | str,
    worker_socket: Path | str | None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    stdout: int = 1,
    stderr: int = 2,
    start_timeout_secs: float = START_TIMEOUT_SECS,
) -> NodeProcess:
    """Starts `python -m pipelines.node *argv` with `environ` as its whole environment.

    Call it from a thread that lives as long as the node: a cold node ends with the thread that started it.

    Args:
      argv: arguments after `python -m pipelines.node`.
      ml_python: interpreter of the ML environment, for the cold way.
      worker_socket: where a worker may listen; none means cold.
      stdout, stderr: file descriptors the node writes to.
    """
    environ = dict(os.environ if environ is None else environ)
    folder = Path(cwd or Path.cwd())
    if worker_socket is not None:
        request = {"argv": list(argv), "environ": environ, "cwd": str(folder)}
        node = _start_warm(request, path=str(worker_socket), fds=[stdout, stderr], timeout_secs=start_timeout_secs)
        if node is not None:
            return node
    command = [str(ml_python), "-m", "pipelines.node", *argv]
    return ColdNode(command, environ=environ, cwd=folder, stdout=stdout, stderr=stderr)


def ping(path: Path | str, *, timeout_secs: float = 2.0) -> int | None:
    """Process id of the worker that serves at `path`; none when there is none, or it is still importing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(timeout_secs)
            connection.connect(str(path))
            connection.sendall(_encode({"ping": 1}))
            message, _ = _read_message(connection, b"", deadline=time.monotonic() + timeout_secs)
            return int(message["pong"])
        except (OSError, KeyError, ValueError):
            return None


def run_node(argv: Sequence[str], *, settings: Settings, environ: Mapping[str, str] | None = None) -> int:
    """Starts the node, forwards SIGTERM and SIGINT to it and returns its exit code. For the main thread."""
    node: NodeProcess | None = None
    early: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        if node is None:
            early.append(number)
        else:
            node.send_signal(number)

    previous = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        node = start_node(
            argv,
            ml_python=settings.python("ml"),
            worker_socket=worker_socket(settings, environ),
            environ=environ,
            cwd=settings.home,
        )
        for number in early:
            node.send_signal(number)
        return node.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _start_warm(request: Mapping[str, Any], *, path: str, fds: list[int], timeout_secs: float) -> WarmNode | None:
    """None when no worker answers; nothing has been started then."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_secs)
        connection.connect(path)
        content = _encode(request)
        sent = socket.send_fds(connection, [content], fds)
        connection.sendall(content[sent:])
        message, rest = _read_message(connection, b"", deadline=time.monotonic() + timeout_secs)
        connection.settimeout(None)
        return WarmNode(connection, pid=int(message["started"]), received=rest)
    except (OSError, KeyError, ValueError):  # TimeoutError and ConnectionError are OSErrors
        connection.close()
        return None


def _encode(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _read_message(
    connection: socket.socket, received: bytes, *, deadline: float | None
) -> tuple[dict[str, Any], bytes]:
    """The next message and the bytes after it. Raises `ConnectionError` at the end and `TimeoutError` at the deadline."""
    while b"\n" not in received:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([connection], [], [], left)[0]:
            raise TimeoutError("no message before the deadline")
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionResetError("the worker hung up")
        received += chunk
    line, _, rest = received.partition(b"\n")
    message: dict[str, Any] = json.loads(line)
    return message, rest


def main(argv: Sequence[str] | None = None) -> int:
    return run_node(sys.argv[1:] if argv is None else argv, settings=Settings.from_environment())


if __name__ == "__main__":
    sys.exit(main())
