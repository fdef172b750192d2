"""The clients, against a server whose answers take a known time."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.serving_check.load import WINDOWS


class Slow:
    """Answers after `secs`; `status` of every third answer."""

    def __init__(self, secs: float, status: int = 200) -> None:
        self._secs, self._status, self._count = secs, status, 0
        self._loop = asyncio.new_event_loop()
        self.port = 0
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._listening.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._answer, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                await asyncio.sleep(self._secs)
                self._count += 1
                status = self._status if self._count % 3 == 0 else 200
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 4\r\n\r\nbody".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Any]:
    servers: list[Slow] = []

    def run(secs: float, status: int = 200) -> dict[str, Any]:
        servers.append(Slow(secs, status))
        (tmp_path / "bodies.json").write_text('["{}"]')
        command = [sys.executable, "-m", "components.serving_check.load", "--port", str(servers[0].port), "--path", "/"]
        options = ["--bodies", str(tmp_path / "bodies.json"), "--clients", "2", "--seconds", "0.9", "--warmup", "0.1"]
        found: dict[str, Any] = json.loads(subprocess.run([*command, *options], capture_output=True, check=True).stdout)
        return found

    yield run
    for server in servers:
        server.close()


def test_latency_is_that_of_the_answers(load: Any) -> None:
    found = load(0.03)
    assert found["p50_ms"] >= 30
    assert len(found["p99_ms"]) == WINDOWS and min(found["p99_ms"]) >= 30
    assert 10 <= found["requests"] <= 2 * 0.9 / 0.03 + 2
    assert found["all_requests"] > found["requests"]
    assert found["failures"] == 0


def test_answers_that_are_no_200_are_counted(load: Any) -> None:
    found = load(0.01, 503)
    assert found["failures"] > 5
    assert found["first_failure"] == "status 503: body"
    assert found["requests"] > 10
