"""The warm worker: has the heavy imports done and forks a child per node.

    python -m pipelines.worker --socket /run/user/1000/daybreak/worker.sock

Clients: `pipelines.worker_client`, where the protocol is described. The worker has one thread and never runs a node's
code itself, so a node can crash, be killed or leak without harm to the next one; its memory goes with its process. Code
of a pipeline folder is imported in the child only; when code of the platform changed on disk the worker replaces itself
before the next node, and nodes that run keep running.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import selectors
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from pipelines.errors import DaybreakError, SpecError
from pipelines.node.command import PR_SET_PDEATHSIG, quiet_native_logs
from pipelines.settings import Settings
from pipelines.warm_imports import Snapshot, changed_files, import_everything, unfit_to_fork
from pipelines.worker_client import worker_socket

GRACE_SECS = 20.0
"""Between SIGTERM and SIGKILL of a node whose client hung up, or when the worker stops."""

MAX_SOCKET_PATH_BYTES = 107
_HANDOVER = "DAYBREAK_WORKER_HANDOVER"
_REQUEST_BYTES = 1 << 16
_MAX_REQUEST_BYTES = 1 << 22


@dataclass
class Job:
    """A client and, once its request is complete, its node."""

    connection: socket.socket
    received: bytes = b""
    descriptors: list[int] = field(default_factory=list)
    """The client's stdout and stderr, until the child has them."""
    pid: int | None = None
    kill_at: float | None = None


class Worker:
    """Serves until SIGTERM. Everything happens in one thread: threads do not survive a fork."""

    def __init__(self, listener: socket.socket, *, imported: Snapshot, command: Sequence[str]) -> None:
        self._listener, self._imported, self._command = listener, imported, command
        self._jobs: list[Job] = []
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wakeup_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = False

    def serve(self, inherited: Sequence[Job] = ()) -> None:
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _note_signal)
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._on_signal)
        self._selector.register(self._listener, selectors.EVENT_READ, self._on_client)
        for job in inherited:
            self._add(job)
        self._reap()
        while self._jobs or not self._stopping:
            for key, _ in self._selector.select(self._pause()):
                key.data()
            self._kill_overdue()

    def _pause(self) -> float | None:
        """Seconds until something must be killed; none, and so no CPU, when there is nothing."""
        overdue = [job.kill_at for job in self._jobs if job.kill_at is not None]
        return max(0.0, min(overdue) - time.monotonic()) if overdue else None

    def _on_client(self) -> None:
        if files := changed_files(self._imported):
            _log(f"{files[0]} changed: starting again with the new code")
            self._replace()  # the client waits in the backlog
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            if _is_same_user(connection):
                connection.setblocking(False)
                self._add(Job(connection))
            else:
                connection.close()

    def _add(self, job: Job) -> None:
        self._jobs.append(job)
        self._selector.register(job.connection, selectors.EVENT_READ, lambda: self._on_message(job))

    def _on_message(self, job: Job) -> None:
        try:
            content, descriptors, _, _ = socket.recv_fds(job.connection, _REQUEST_BYTES, 2)
        except BlockingIOError:
            return
        except OSError:
            content, descriptors = b"", []
        job.descriptors += descriptors
        if not content:
            self._on_hang_up(job)
            return
        job.received += content
        while b"\n" in job.received and job in self._jobs:
            line, _, job.received = job.received.partition(b"\n")
            self._obey(job, line)
        if len(job.received) > _MAX_REQUEST_BYTES:
            self._forget(job)

    def _obey(self, job: Job, line: bytes) -> None:
        try:
            message = json.loads(line)
            if "ping" in message:
                _send(job, {"pong": os.getpid()})
            elif "signal" in message and job.pid is not None:
                _signal_node(job.pid, int(message["signal"]))
            elif job.pid is None and len(job.descriptors) == 2:
                self._start(job, message)
        except (ValueError, KeyError, TypeError) as error:
            _log(f"a request that cannot be read: {error}")
            self._forget(job)

    def _start(self, job: Job, request: Mapping[str, Any]) -> None:
        argv, environ, cwd = list(request["argv"]), dict(request["environ"]), str(request["cwd"])
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:  # no memory or no process left: the client tries it cold
            _log(f"cannot fork: {error}")
            self._forget(job)
            return
        if pid == 0:
            self._become_node(job, argv=argv, environ=environ, cwd=cwd, parent=parent)
        job.pid = pid
        self._close_descriptors(job)
        _send(job, {"started": pid})
        _log(f"node {pid} started: {' '.join(argv)}")

    def _become_node(self, job: Job, *, argv: list[str], environ: dict[str, str], cwd: str, parent: int) -> NoReturn:
        code = DaybreakError.exit_code
        try:
            _leave_worker(parent)
            for number, descriptor in enumerate(job.descriptors, start=1):
                os.dup2(descriptor, number)
            self._close_everything()
            code = _run_node(argv, environ=environ, cwd=cwd)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else DaybreakError.exit_code
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            # Never unwind into the worker's frames, and leave its exit handlers to it.
            os._exit(code)

    def _close_everything(self) -> None:
        self._selector.close()
        self._listener.close()
        for descriptor in (self._wakeup, self._wakeup_write):
            os.close(descriptor)
        for job in self._jobs:
            self._close_descriptors(job)
            job.connection.close()

    def _on_hang_up(self, job: Job) -> None:
        """A client that is gone takes its node down, first politely."""
        if job.pid is None:
            self._forget(job)
            return
        self._selector.unregister(job.connection)
        self._ask_to_end(job)

    def _ask_to_end(self, job: Job) -> None:
        if job.pid is not None and job.kill_at is None:
            job.kill_at = time.monotonic() + GRACE_SECS
            _signal_node(job.pid, signal.SIGTERM)

    def _kill_overdue(self) -> None:
        for job in self._jobs:
            if job.pid is not None and job.kill_at is not None and time.monotonic() >= job.kill_at:
                _signal_node(job.pid, signal.SIGKILL)
                job.kill_at = time.monotonic() + GRACE_SECS

    def _on_signal(self) -> None:
        numbers = os.read(self._wakeup, 4096)
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._stop()
        self._reap()

    def _stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        _log(f"stopping; {len(self._jobs)} nodes are asked to end")
        Path(self._listener.getsockname()).unlink(missing_ok=True)
        self._selector.unregister(self._listener)
        self._listener.close()
        for job in list(self._jobs):
            if job.pid is None:
                self._forget(job)
            else:
                self._ask_to_end(job)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            code = code if code >= 0 else 128 - code
            _signal_node(pid, signal.SIGKILL)  # what the node itself started must not outlive it
            for job in [job for job in self._jobs if job.pid == pid]:
                _log(f"node {pid} ended with exit code {code}")
                _send(job, {"exit": code})
                self._forget(job)

    def _forget(self, job: Job) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(job.connection)
        self._close_descriptors(job)
        job.connection.close()
        self._jobs.remove(job)

    @staticmethod
    def _close_descriptors(job: Job) -> None:
        while job.descriptors:
            os.close(job.descriptors.pop())

    def _replace(self) -> NoReturn:
        """Becomes a new worker in the same process, which stays the parent of the running nodes."""
        jobs = [(job.pid, job.connection.fileno()) for job in self._jobs if job.pid is not None]
        for descriptor in (self._listener.fileno(), *(descriptor for _, descriptor in jobs)):
            os.set_inheritable(descriptor, True)
        signal.set_wakeup_fd(-1)
        os.environ[_HANDOVER] = json.dumps({"listener": self._listener.fileno(), "jobs": jobs})
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-m", "pipelines.worker", *self._command])


def _leave_worker(parent: int) -> None:
    """A session of its own; ends, cleanly, with the worker; the first to go when memory runs out."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGTERM)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _run_node(argv: list[str], *, environ: dict[str, str], cwd: str) -> int:
    """As `python -m pipelines.node *argv` would, in a process that has its imports."""
    with Path(os.devnull).open("rb") as null:
        os.dup2(null.fileno(), 0)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a worker's streams are text files
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(cwd)
    paths = [cwd, *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.path[:] = [*paths, *(path for path in sys.path if path not in paths)]
    importlib.invalidate_caches()
    _reseed()

    from pipelines.node.command import main

    return main(argv)


def _reseed() -> None:
    """All children would draw the same numbers as their parent."""
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()


def _signal_node(pid: int, number: int) -> None:
    """SIGKILL goes to everything the node started, the others to the node, which knows how to end."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if number == signal.SIGKILL:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def _send(job: Job, message: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):
        job.connection.send(json.dumps(message).encode() + b"\n")


def _is_same_user(connection: socket.socket) -> bool:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return user in (os.geteuid(), 0)


def _note_signal(number: int, frame: object) -> None:
    """The wakeup descriptor carries the number to the loop."""


def _log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} worker {os.getpid()}: {text}", file=sys.stderr, flush=True)


def listen(path: Path) -> socket.socket:
    """A listening socket only this user can reach. Raises `SpecError` when that cannot be, or a worker is there already."""
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise SpecError(
            f"a socket path has at most {MAX_SOCKET_PATH_BYTES} bytes. Received: {path}",
            fix="give a shorter one: --socket or DAYBREAK_WORKER_SOCKET",
        )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.parent.stat().st_mode & 0o077:
        raise SpecError(
            f"the folder of the socket must be closed to other users. Received: {path.parent}, "
            f"mode {path.parent.stat().st_mode & 0o777:o}",
            fix=f"chmod 700 {path.parent}, or choose another folder",
        )
    if _answers(path):
        raise SpecError(f"a worker listens at {path} already", fix="stop it first, or give another --socket")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    listener.listen(64)
    listener.setblocking(False)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _take_over(handover: str) -> tuple[socket.socket, list[Job]]:
    state = json.loads(handover)
    jobs = [Job(socket.socket(fileno=descriptor), pid=pid) for pid, descriptor in state["jobs"]]
    listener = socket.socket(fileno=state["listener"])
    for inherited in (listener, *(job.connection for job in jobs)):
        inherited.set_inheritable(False)
        inherited.setblocking(False)
    return listener, jobs


def main(argv: Sequence[str] | None = None) -> int:
    command = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m pipelines.worker")
    parser.add_argument("--socket", type=Path, default=worker_socket(Settings.from_environment()))
    path = parser.parse_args(command).socket
    if path is None:
        parser.error("--socket is needed: services.json names none and DAYBREAK_WORKER_SOCKET is not set")
    quiet_native_logs()
    handover = os.environ.pop(_HANDOVER, None)
    try:
        # Before the imports: a client waits for them, which is cheaper than doing them itself at the same time.
        listener, jobs = _take_over(handover) if handover else (listen(path.absolute()), [])
    except SpecError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    sys.argv = sys.argv[:1]  # Beam and TFX read it as their own flags
    started = time.monotonic()
    imported = import_everything()
    gc.collect()
    gc.freeze()  # what is shared with the children stays shared
    _log(f"ready after {time.monotonic() - started:.1f} s: {len(sys.modules)} modules, listening at {path}")
    for problem in unfit_to_fork():
        _log(f"nodes may hang: {problem}")
    _prepare_metadata()
    Worker(listener, imported=imported, command=command).serve(jobs)
    return 0


def _prepare_metadata() -> None:
    """In a child, because no connection may be open when a node is forked. A node does it itself when this fails."""
    parent = os.getpid()
    if os.fork():
        return
    try:
        _leave_worker(parent)
        from pipelines.node.metadata import prepare

        prepare(Settings.from_environment(), os.environ)
    except Exception as error:  # noqa: BLE001  # of whatever kind: the first node says it in its own log
        _log(f"the metadata database is not prepared: {error}")
    finally:
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
