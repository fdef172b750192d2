"""A server under measurement: its processes, and one short round of load on it.

    server = Server("MLServer", command, port=port, path="/v2/…", bodies=bodies, folder=folder, environment={…})
    server.wait_ready()                 # its first prediction
    server.measure(clients=16, seconds=3)
    server.end()

CPU is user and system of all processes of the tree, also of those that ended and were waited for; memory is their own
(unique) pages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import httpx
import psutil

READY_SECS = 180
WARM_UP_SECS = 0.3


class NotStarted(Exception):
    """The server did not answer; the message is the end of what it said."""


class Round(NamedTuple):
    cpu_us: float
    p50_us: float
    p99_us: float
    per_sec: float
    memory_gib: float


class Server:
    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        port: int,
        path: str,
        bodies: Sequence[Any],
        folder: Path,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.name, self._port, self._path = name, port, path
        self._first, self._bodies = bodies[0], folder / "bodies.json"
        self._bodies.write_text(json.dumps([json.dumps(body) for body in bodies]))
        self._said = folder / "said.txt"
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                list(command), stdout=said, stderr=said, env=dict(environment), cwd=folder, start_new_session=True
            )

    def wait_ready(self) -> float:
        """The first prediction. Raises `NotStarted`."""
        until, last = time.monotonic() + READY_SECS, ""
        while time.monotonic() < until and self._process.poll() is None:
            try:
                answer = httpx.post(f"http://127.0.0.1:{self._port}{self._path}", json=self._first, timeout=30)
                if answer.status_code == 200:
                    return _prediction(answer.json())
                last = f"status {answer.status_code}: {answer.text[:200]}"
            except httpx.TransportError as error:
                last = str(error)
            time.sleep(0.3)
        said = self._said.read_text(errors="replace").strip().splitlines()[-1:]
        raise NotStarted(" ".join([last, *said])[:400])

    def measure(self, *, clients: int, seconds: float) -> Round:
        command = [sys.executable, "-m", "components.serving_check.load", "--port", str(self._port)]
        command += ["--path", self._path, "--bodies", str(self._bodies), "--clients", str(clients)]
        command += ["--seconds", str(seconds), "--warmup", str(WARM_UP_SECS)]
        before = self._cpu_secs()
        load = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        cpu_us = (self._cpu_secs() - before) / load["all_requests"] * 1e6
        if load["failures"]:
            raise RuntimeError(f"{self.name}: {load['failures']} failures, the first {load['first_failure']}")
        p99_us = median(load["p99_ms"]) * 1000
        return Round(cpu_us, load["p50_ms"] * 1000, p99_us, load["requests"] / load["seconds"], self._memory_gib())

    def end(self) -> None:
        tree = self._tree()
        self._process.terminate()
        _, alive = psutil.wait_procs(tree, timeout=20)
        for process in alive:
            process.kill()
        self._process.wait()

    def _tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self._process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _cpu_secs(self) -> float:
        total = 0.0
        for process in self._tree():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
        return total

    def _memory_gib(self) -> float:
        total = 0
        for process in self._tree():
            try:
                total += process.memory_full_info().uss
            except psutil.NoSuchProcess:
                continue
        return total / 2**30


def _prediction(answer: Mapping[str, Any]) -> float:
    found = answer["predictions"] if "predictions" in answer else answer["outputs"][0]["data"]
    while isinstance(found, list):
        found = found[0]
    return float(found)
