"""Connections to a model's server that are kept between requests: for many threads at a time.

    connections = Connections(address, timeout_secs=1.0)
    connections.get("/metadata")                # below the model's path; bytes
    connections.post(":predict", body)

A refusal of the rows is an `InputError`; whatever else is not a 200 is a `TransientError`: the server fails.
"""

from __future__ import annotations

import time
from collections import deque
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection

import msgspec
from msgspec import Struct

from components.serving.engine import InputError
from components.serving.engines.addresses import Address
from pipelines.errors import TransientError, one_line

REFUSED = frozenset({400, 413, 422})
"""The rows are at fault. 404 or 429 tell of the server, which another one can stand in for."""
ANSWER_BYTES = 64 << 20
_JSON = {"content-type": "application/json"}


class _Error(Struct):
    error: str


class Connections:
    """`http.client` takes 90 us of CPU for a request, where httpx takes 640."""

    def __init__(self, address: Address, *, timeout_secs: float) -> None:
        self._address, self._timeout_secs = address, timeout_secs
        self._idle: deque[HTTPConnection] = deque()

    def get(self, path: str) -> bytes:
        return self._ask("GET", path, None)

    def post(self, path: str, body: bytes) -> bytes:
        return self._ask("POST", path, body)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def failure(self, what: str) -> TransientError:
        return TransientError(
            f"the model's server failed: {what[:300]}",
            fix="see its own log; requests meet the champion meanwhile",
            place=str(self._address),
        )

    def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        try:
            status, content = self._exchange(method, path, body)
        except (OSError, HTTPException) as error:
            raise self.failure(one_line(error)) from error
        if status in REFUSED:
            raise InputError(_said(content))
        if status != 200:
            raise self.failure(f"status {status}: {_said(content)}")
        return content

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """The server may have closed a connection that was idle: that is no failure yet."""
        if self._idle:
            try:
                return self._send(self._idle.pop(), method, path, body)
            except (ConnectionError, IndexError):  # another thread took the last one
                pass
        return self._send(self._connect(), method, path, body)

    def _send(self, connection: HTTPConnection, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        ends = time.monotonic() + self._timeout_secs
        try:
            connection.request(method, self._address.path + path, body, _JSON if body else {})
            response = connection.getresponse()
            content = _read(response, ends)
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return response.status, content

    def _connect(self) -> HTTPConnection:
        kind = HTTPSConnection if self._address.secure else HTTPConnection
        return kind(self._address.host, self._address.port, timeout=self._timeout_secs)


def _read(response: HTTPResponse, ends: float) -> bytes:
    """The socket's timeout is for each piece; a server that sends a byte now and then would never end."""
    parts, size = [], 0
    while part := response.read1(1 << 20):
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES:
            raise HTTPException(f"an answer of more than {ANSWER_BYTES} bytes")
        if time.monotonic() > ends:
            raise TimeoutError("timed out")
    response.read()  # nothing; `read1` leaves it to others to note the end
    return b"".join(parts)


def _said(content: bytes) -> str:
    try:
        return msgspec.json.decode(content, type=_Error).error[:300]
    except (msgspec.MsgspecError, UnicodeError):
        return content[:100].decode(errors="replace")
