"""The server as a process of its own, from its start until it is gone.

    with ServerProcess(model, folder, start_timeout_secs=90) as server:
        server.wait_until_ready()
        httpx.post(server.url + "/v1/models/candidate:predict", …)

Whatever happens, none is left: it is ended on leaving, and dies with this process when that is killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil

from pipelines.errors import ResourceError, TransientError

NAME = "candidate"
POLL_SECS, STOP_SECS, PROBE_SECS = 0.05, 10, 5
LOG_LINES = 12


class ServerFailedError(Exception):
    """The server ended, or did not answer; the message is one sentence and the end of its log."""


class ServerProcess:
    def __init__(self, model: Path, folder: Path, *, start_timeout_secs: float) -> None:
        """`folder`: where the log and the port are written."""
        self._port_file, self._log_file = folder / "port.txt", folder / "server.log"
        self._timeout = start_timeout_secs
        command = [
            *(sys.executable, "-m", "components.serving", "--model", str(model), "--name", NAME),
            *("--port", "0", "--port-file", str(self._port_file), "--drain-secs", "0", "--parent", str(os.getpid())),
        ]
        self._started = time.monotonic()
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=child_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.url = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> float:
        """Seconds from its start until it was ready.

        Raises:
            ServerFailedError: it ended, or was not ready in time.
            TransientError: the machine had no port or memory to give.
        """
        while True:
            self.check_alive("before it was ready")
            if self._is_ready():
                return time.monotonic() - self._started
            if time.monotonic() - self._started > self._timeout:
                raise ServerFailedError(
                    f"the server was not ready within {self._timeout:g} s (`serving.start_timeout_secs`){self.log_end()}"
                )
            time.sleep(POLL_SECS)

    def check_alive(self, when: str) -> None:
        code = self._process.poll()
        if code is None:
            return
        if code in (ResourceError.exit_code, TransientError.exit_code):
            raise TransientError(f"the server could not start{self.log_end()}", fix="run the node again")
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        raise ServerFailedError(f"the server {ended} {when}{self.log_end()}")

    def log_end(self) -> str:
        lines = [line for line in self._log_file.read_text(errors="replace").splitlines() if line.strip()]
        return "; the end of its log: " + " | ".join(lines[-LOG_LINES:])[-1500:] if lines else "; its log is empty"

    def cpu_secs(self) -> float:
        """User and system, of all its threads."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def memory_bytes(self) -> int:
        """Resident."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def _is_ready(self) -> bool:
        if not self.url:
            if not self._port_file.exists():
                return False
            self.url = f"http://127.0.0.1:{int(self._port_file.read_text())}"
        try:
            return httpx.get(self.url + "/v2/health/ready", timeout=PROBE_SECS, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


def child_environment() -> dict[str, str]:
    """This process's, with this checkout importable wherever the node runs, and without the tracker's run."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
