"""The server of one model: its paths.

application = Application(name="shop", version="1")
application.serve(engine)           # ready from now on
application.frame.drain()           # readiness 503, connections closed after their answer
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from components.serving.asgi import RETRY, Exchange, Frame, HttpError, Route
from components.serving.batching import Batcher
from components.serving.binary_tensors import HEADER
from components.serving.engine import Engine, Predictions
from components.serving.measures import PROMETHEUS, expose
from components.serving.protocols import Protocols, Request

SERVER_METADATA = b'{"name":"daybreak","version":"1","extensions":["binary_tensor_data"]}'


class Application:
    def __init__(self, *, name: str, version: str, frame: Frame | None = None) -> None:
        self._name, self._version, self.frame = name, version, frame or Frame()
        self._engine: Engine | None = None
        self._batcher: Batcher
        self._protocols: Protocols
        v1 = (f"/v1/models/{name}", f"/v1/models/{name}/versions/{version}")
        v2 = (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}")
        gets = {
            "/v2/health/live": Route("live", self._live),
            "/v2/health/ready": Route("ready", self._ready),
            "/v2": Route("server", self._server_metadata),
            "/metrics": Route("metrics", self._metrics, PROMETHEUS),
        }
        posts = {}
        for path in v1:
            gets |= {path: Route("status", self._status), f"{path}/metadata": Route("signatures", self._signatures)}
            posts[f"{path}:predict"] = Route("predict", self._predict)
        for path in v2:
            gets |= {path: Route("metadata", self._metadata), f"{path}/ready": Route("ready", self._ready)}
            posts[f"{path}/infer"] = Route("infer", self._infer)
        self.frame.routes = {"GET": gets, "POST": posts}
        self.frame.described = f"this server has model {name}, version {version}"

    def serve(self, engine: Engine) -> None:
        """Warms the engine up; from then on the application is ready. May run in another thread than the event loop."""
        protocols = Protocols(engine.columns, name=self._name, version=self._version)
        batcher = Batcher(engine)
        batcher.warm_up([protocols.example_row()])
        self._protocols, self._batcher, self._engine = protocols, batcher, engine

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        await self.frame(scope, receive, send)

    def _require_ready(self) -> Engine:
        if self._engine is None:
            raise HttpError(503, "the model is being loaded", RETRY)
        return self._engine

    async def _live(self, exchange: Exchange) -> bytes:
        return b'{"live":true}'

    async def _ready(self, exchange: Exchange) -> bytes:
        self._require_ready()
        if self.frame.draining:
            raise HttpError(503, "the server is about to end")
        return b'{"ready":true}'

    async def _predict(self, exchange: Exchange) -> bytes:
        engine = self._require_ready()
        request = self._protocols.read_predict(exchange.body)
        return self._protocols.write_predict(request, await self._compute(engine, request))

    async def _infer(self, exchange: Exchange) -> bytes:
        engine = self._require_ready()
        request = self._protocols.read_infer(exchange.body, json_bytes=exchange.header(HEADER))
        return self._protocols.write_infer(request, await self._compute(engine, request))

    async def _compute(self, engine: Engine, request: Request) -> Predictions:
        if request.examples:
            return await asyncio.to_thread(engine.predict_examples, request.examples)
        return (await self._batcher.predict(request.rows)).predictions

    async def _status(self, exchange: Exchange) -> bytes:
        state = "LOADING" if self._engine is None else "UNLOADING" if self.frame.draining else "AVAILABLE"
        status = {"error_code": "OK", "error_message": ""}
        return msgspec.json.encode(
            {"model_version_status": [{"version": self._version, "state": state, "status": status}]}
        )

    async def _signatures(self, exchange: Exchange) -> bytes:
        engine = self._require_ready()
        kind = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        return msgspec.json.encode(
            {
                "model_spec": {"name": self._name, "version": self._version},
                "metadata": {"signature_def": {"@type": kind, "signature_def": engine.signatures}},
            }
        )

    async def _metadata(self, exchange: Exchange) -> bytes:
        self._require_ready()
        described = {"name": self._name, "versions": [self._version], "platform": "tensorflow_savedmodel"}
        return msgspec.json.encode(described | self._protocols.describe_tensors())

    async def _server_metadata(self, exchange: Exchange) -> bytes:
        return SERVER_METADATA

    async def _metrics(self, exchange: Exchange) -> bytes:
        return expose(self.frame.traffic)
