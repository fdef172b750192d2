"""The ASGI application: paths, health, errors.

    application = Application(name="shop", version="1")
    application.serve(engine)           # ready from now on
    application.drain()                 # readiness 503, connections closed after their answer

Bare ASGI: the paths are known, so a dict finds one, and a request object of a framework would cost more than the model.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from components.serving.batching import Batcher
from components.serving.engine import Engine, InputError, Predictions
from components.serving.protocols import Protocols, Request

_log = logging.getLogger(__name__)

BODY_LIMIT_BYTES = 4 << 20
Body = bytes
Handler = Callable[[Body], Awaitable[bytes]]
Headers = list[tuple[bytes, bytes]]
_JSON, _CLOSE = (b"content-type", b"application/json"), (b"connection", b"close")
_RETRY = (b"retry-after", b"1")


class HttpError(Exception):
    """An answer that is an error: `{"error": message}`."""

    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


class Application:
    def __init__(self, *, name: str, version: str, body_limit_bytes: int = BODY_LIMIT_BYTES) -> None:
        self._name, self._version, self._limit = name, version, body_limit_bytes
        self.draining = False
        self._engine: Engine | None = None
        self._batcher: Batcher
        self._protocols: Protocols
        v1 = (f"/v1/models/{name}", f"/v1/models/{name}/versions/{version}")
        v2 = (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}")
        gets: dict[str, Handler] = {
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
            "/v2": self._server_metadata,
        }
        posts: dict[str, Handler] = {}
        for path in v1:
            gets |= {path: self._status, f"{path}/metadata": self._signatures}
            posts[f"{path}:predict"] = self._predict
        for path in v2:
            gets |= {path: self._metadata, f"{path}/ready": self._ready}
            posts[f"{path}/infer"] = self._infer
        self._routes: Mapping[str, Mapping[str, Handler]] = {"GET": gets, "POST": posts}

    def serve(self, engine: Engine) -> None:
        """Warms the engine up; from then on the application is ready. May run in another thread than the event loop."""
        protocols = Protocols(engine.columns, name=self._name, version=self._version)
        batcher = Batcher(engine)
        batcher.warm_up([protocols.example_row()])
        self._protocols, self._batcher, self._engine = protocols, batcher, engine

    def drain(self) -> None:
        """Requests are still answered, but whoever asks for readiness sends no more, and connections end."""
        self.draining = True

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        status, headers = 200, [_JSON]
        try:
            handler = self._route(scope["method"], scope["path"])
            answer = await handler(await self._body(scope, receive))
        except HttpError as error:
            status, answer = error.status, _error(error.message)
            headers.extend(error.headers)
        except (InputError, msgspec.MsgspecError, UnicodeError) as error:
            status, answer = 400, _error(str(error))
        except RecursionError:
            status, answer = 400, _error("the body must not be nested so deeply")
        except Exception:  # noqa: BLE001 - the log has the trace; the client could do nothing with it
            _log.exception("%s %s failed", scope["method"], scope["path"])
            status, answer = 500, _error("internal error; the server's log tells more")
        if self.draining:
            headers.append(_CLOSE)
        headers.append((b"content-length", str(len(answer)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _route(self, method: str, path: str) -> Handler:
        if handler := self._routes.get(method, {}).get(path):
            return handler
        allowed = ", ".join(known for known, routes in self._routes.items() if path in routes)
        if allowed:
            raise HttpError(405, f"the method must be {allowed}. Received: {method[:20]}", (b"allow", allowed.encode()))
        raise HttpError(
            404, f"no such path; this server has model {self._name}, version {self._version}. Received: {path[:200]}"
        )

    async def _body(self, scope: Mapping[str, Any], receive: Any) -> bytes:
        message = await receive()
        if not message.get("more_body"):
            parts = [message.get("body", b"")]
        else:
            parts, size = [message["body"]], len(message["body"])
            while message.get("more_body") and size <= self._limit:
                message = await receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if message["type"] == "http.disconnect":
            raise HttpError(499, "the client has gone")
        if len(body) > self._limit:
            raise HttpError(413, f"the body must be at most {self._limit} bytes", _CLOSE)
        return body

    def _require_ready(self) -> Engine:
        if self._engine is None:
            raise HttpError(503, "the model is being loaded", _RETRY)
        return self._engine

    async def _live(self, body: Body) -> bytes:
        return b'{"live":true}'

    async def _ready(self, body: Body) -> bytes:
        self._require_ready()
        if self.draining:
            raise HttpError(503, "the server is about to end")
        return b'{"ready":true}'

    async def _predict(self, body: Body) -> bytes:
        engine = self._require_ready()
        request = self._protocols.read_predict(body)
        return self._protocols.write_predict(request, await self._compute(engine, request))

    async def _infer(self, body: Body) -> bytes:
        engine = self._require_ready()
        request = self._protocols.read_infer(body)
        return self._protocols.write_infer(request, await self._compute(engine, request))

    async def _compute(self, engine: Engine, request: Request) -> Predictions:
        if request.examples:
            return await asyncio.to_thread(engine.predict_examples, request.examples)
        return await self._batcher.predict(request.rows)

    async def _status(self, body: Body) -> bytes:
        state = "LOADING" if self._engine is None else "UNLOADING" if self.draining else "AVAILABLE"
        status = {"error_code": "OK", "error_message": ""}
        return msgspec.json.encode(
            {"model_version_status": [{"version": self._version, "state": state, "status": status}]}
        )

    async def _signatures(self, body: Body) -> bytes:
        engine = self._require_ready()
        kind = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        return msgspec.json.encode(
            {
                "model_spec": {"name": self._name, "version": self._version},
                "metadata": {"signature_def": {"@type": kind, "signature_def": engine.signatures}},
            }
        )

    async def _metadata(self, body: Body) -> bytes:
        self._require_ready()
        described = {"name": self._name, "versions": [self._version], "platform": "tensorflow_savedmodel"}
        return msgspec.json.encode(described | self._protocols.describe_tensors())

    async def _server_metadata(self, body: Body) -> bytes:
        return b'{"name":"daybreak","version":"1","extensions":[]}'


def _error(message: str) -> bytes:
    return msgspec.json.encode({"error": message})
