"""A closed loop of clients in a process of its own: each sends its next request when the last is answered.

    python -m components.serving_check.load --port 8501 --path /v1/models/shop:predict --bodies bodies.json \
        --clients 4 --seconds 3 --warmup 0.5 --parent PID

Prints JSON (`Load`). The client is bare (a socket, prepared bytes, httptools): a comfortable one takes several times the
CPU of the server, and on two cores its queue would be measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import httptools
import numpy as np
import uvloop

from components.processes import die_with

WINDOWS = 3
LAST_ANSWERS_SECS = 10


@dataclass(frozen=True)
class Load:
    requests: int
    """Answered within the measured time."""
    all_requests: int
    """Those before too, as the server's CPU seconds count them."""
    seconds: float
    failures: int
    """Answers that are no 200, or none at all."""
    first_failure: str
    p50_ms: float
    p99_ms: tuple[float, ...]
    """Of each window of the measured time."""


class Client(asyncio.Protocol):
    """One connection; `answer` is done when the response to the last request is whole."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.body = b""

    def connection_made(self, transport: Any) -> None:
        # uvloop's transports are no asyncio.Transport.
        self._transport, self._parser = transport, httptools.HttpResponseParser(self)

    def send(self, request: bytes) -> asyncio.Future[int]:
        self.answer, self.body = asyncio.get_running_loop().create_future(), b""
        if self._transport.is_closing():
            self.answer.set_exception(ConnectionError("the server closed the connection"))
        self._transport.write(request)
        return self.answer

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._parser = httptools.HttpResponseParser(self)
        if not self.answer.done():
            self.answer.set_result(status)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(error or ConnectionError("the server closed the connection"))

    def close(self) -> None:
        self._transport.close()


class _Run:
    def __init__(self, port: int, requests: Sequence[bytes], *, seconds: float, warmup: float) -> None:
        self._port, self._requests = port, requests
        self._start = time.perf_counter() + warmup
        self._end = self._start + seconds
        self._answered: list[tuple[float, float]] = []
        """When, since the start of the measured time, and after how many seconds."""
        self._failures: list[str] = []
        self._sent = 0

    async def __call__(self, clients: int) -> Load:
        running = [asyncio.create_task(self._client(number)) for number in range(clients)]
        ended, late = await asyncio.wait(running, timeout=self._end - time.perf_counter() + LAST_ANSWERS_SECS)
        for task in ended:
            task.result()
        for task in late:
            task.cancel()
            self._failures.append(f"no answer within {LAST_ANSWERS_SECS} s of the end")
        return self._summary()

    async def _client(self, number: int) -> None:
        try:
            _, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", self._port)
            for request in islice(cycle(self._requests), number, None):
                sent = time.perf_counter()
                if sent >= self._end:
                    return client.close()
                self._sent += 1
                status, now = await client.send(request), time.perf_counter()
                if status != 200:
                    self._failures.append(f"status {status}: {client.body[:200].decode(errors='replace')}")
                elif sent >= self._start:
                    self._answered.append((now - self._start, now - sent))
        except (OSError, httptools.HttpParserError) as error:
            self._failures.append(f"{type(error).__name__}: {error}")

    def _summary(self) -> Load:
        seconds = self._end - self._start
        found = np.array(self._answered).reshape(-1, 2)
        millis, window = found[:, 1] * 1000, np.minimum(found[:, 0] * WINDOWS / seconds, WINDOWS - 1).astype(int)
        by_window = [millis[window == number] for number in range(WINDOWS)]
        return Load(
            requests=len(found),
            all_requests=self._sent,
            seconds=max(seconds, float(found[:, 0].max()) if len(found) else 0.0),
            failures=len(self._failures),
            first_failure=self._failures[0] if self._failures else "",
            p50_ms=float(np.median(millis)) if len(found) else 0.0,
            p99_ms=tuple(float(np.quantile(part, 0.99)) for part in by_window if len(part)),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m components.serving_check.load")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--bodies", type=Path, required=True, help="a JSON list of texts")
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--warmup", type=float, default=0.0)
    parser.add_argument("--parent", type=int)
    options = parser.parse_args(arguments)
    if options.parent:
        die_with(options.parent)
    requests = [request_bytes(options.path, body.encode()) for body in json.loads(options.bodies.read_text())]
    run = _Run(options.port, requests, seconds=options.seconds, warmup=options.warmup)
    print(json.dumps(asdict(uvloop.run(run(options.clients)))))
    return 0


def request_bytes(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


if __name__ == "__main__":
    sys.exit(main())
