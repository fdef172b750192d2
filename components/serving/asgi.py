"""What every server here has around its paths: bodies and their limit, errors, request ids, load shedding, measures.

    frame = Frame(Limits(), described="this server has model shop")
    frame.routes = {"GET": {"/v2/health/live": Route("live", handler)}}     # may be replaced while it serves
    frame.drain()                       # connections are closed after their answer

Bare ASGI: the paths are known, so a dict finds one, and a request object of a framework would cost more than the model.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from secrets import token_hex
from time import perf_counter
from typing import Any, NamedTuple

import msgspec

from components.serving.access_log import AccessLog
from components.serving.engine import InputError
from components.serving.measures import Traffic
from pipelines.errors import TransientError, one_line

_log = logging.getLogger(__name__)

BODY_LIMIT_BYTES = 4 << 20
IN_FLIGHT = 512
REQUEST_ID_LETTERS = 128
JSON, CLOSE, RETRY = (b"content-type", b"application/json"), (b"connection", b"close"), (b"retry-after", b"1")
Header = tuple[bytes, bytes]


class HttpError(Exception):
    """An answer that is an error: `{"error": message}`."""

    def __init__(self, status: int, message: str, *headers: Header) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


class Exchange(msgspec.Struct, gc=False):  # type: ignore[call-arg]
    """A request, and the headers of its answer."""

    body: bytes
    headers: list[Header]
    request_id: bytes
    answer_headers: list[Header]

    def header(self, name: bytes) -> bytes | None:
        """`name` in small letters."""
        return next((value for key, value in self.headers if key == name), None)


Handler = Callable[[Exchange], Awaitable[bytes]]


class Route(NamedTuple):
    name: str
    """In measures: one for all versions of a model."""
    handler: Handler
    content_type: Header = JSON


Routes = Mapping[str, Mapping[str, Route]]
"""By method, then by path."""


@dataclass(frozen=True)
class Limits:
    body_bytes: int = BODY_LIMIT_BYTES
    in_flight: int = IN_FLIGHT
    """POST requests at a time; one more is answered 429 at once, so that those inside keep their latency."""


@dataclass
class Frame:
    limits: Limits = field(default_factory=Limits)
    described: str = ""
    """For a path that is not there."""
    access_log: AccessLog | None = None
    routes: Routes = field(default_factory=dict)
    draining: bool = False
    traffic: Traffic = field(default_factory=Traffic)
    find: Callable[[str, str], Route | None] = lambda method, path: None
    """Asked with method and path when `routes` has none, so that known paths cost nothing more."""

    def __post_init__(self) -> None:
        self._ids, self._prefix = count(), token_hex(6)

    def drain(self) -> None:
        """Requests are still answered, but connections end."""
        self.draining = True

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        started, method = perf_counter(), scope["method"]
        exchange = Exchange(b"", scope["headers"], self._request_id(scope["headers"]), [])
        name, status, headers = "none", 200, [JSON, (b"x-request-id", exchange.request_id)]
        shares_limit = method == "POST"
        self.traffic.in_flight += shares_limit
        try:
            route = self._route(method, scope["path"])
            name, headers[0] = route.name, route.content_type
            if shares_limit and self.traffic.in_flight > self.limits.in_flight:
                raise HttpError(429, f"more than {self.limits.in_flight} requests are under way", RETRY)
            exchange.body = await self._body(scope, receive)
            answer = await route.handler(exchange)
        except Exception as error:  # noqa: BLE001 - every one becomes an answer
            failure = _as_answer(error, method, scope["path"])
            status, answer, headers[0] = failure.status, msgspec.json.encode({"error": failure.message}), JSON
            headers.extend(failure.headers)
        finally:
            self.traffic.in_flight -= shares_limit
        headers.extend(exchange.answer_headers)
        if self.draining:
            headers.append(CLOSE)
        headers.append((b"content-length", b"%d" % len(answer)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})
        seconds = perf_counter() - started
        self.traffic.add(name, status, seconds)
        if self.access_log:
            self.access_log.add(exchange.request_id, method, scope["path"], status, seconds, len(answer))

    def _request_id(self, headers: list[Header]) -> bytes:
        for key, value in headers:
            # It is written back into a header: visible ASCII only.
            if (
                key == b"x-request-id"
                and 0 < len(value) <= REQUEST_ID_LETTERS
                and all(32 < byte < 127 for byte in value)
            ):
                return value
        return f"{self._prefix}-{next(self._ids):x}".encode()

    def _route(self, method: str, path: str) -> Route:
        if route := self.routes.get(method, {}).get(path):
            return route
        if found := self.find(method, path):
            return found
        allowed = ", ".join(known for known, routes in self.routes.items() if path in routes)
        if allowed:
            raise HttpError(405, f"the method must be {allowed}. Received: {method[:20]}", (b"allow", allowed.encode()))
        raise HttpError(404, f"no such path; {self.described}. Received: {path[:200]}")

    async def _body(self, scope: Mapping[str, Any], receive: Any) -> bytes:
        message, limit = await receive(), self.limits.body_bytes
        if not message.get("more_body"):
            parts = [message.get("body", b"")]
        else:
            parts, size = [message["body"]], len(message["body"])
            while message.get("more_body") and size <= limit:
                message = await receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if message["type"] == "http.disconnect":
            raise HttpError(499, "the client has gone")
        if len(body) > limit:
            raise HttpError(413, f"the body must be at most {limit} bytes", CLOSE)
        return body


def _as_answer(error: Exception, method: str, path: str) -> HttpError:
    if isinstance(error, HttpError):
        return error
    if isinstance(error, InputError | msgspec.MsgspecError | UnicodeError):
        return HttpError(400, str(error))
    if isinstance(error, RecursionError):
        return HttpError(400, "the body must not be nested so deeply")
    if isinstance(error, TransientError):
        _log.error("%s %s failed: %s", method, path, one_line(error))
        return HttpError(503, "what computes the predictions does not answer", RETRY)
    _log.error("%s %s failed", method, path, exc_info=error)
    return HttpError(500, "internal error; the server's log tells more")
