"""A model's server that speaks both protocols, and can be told to fail in many ways."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

V2_INPUTS: dict[str, tuple[str, list[int]]] = {
    "country": ("BYTES", [-1, -1]),
    "item_id": ("BYTES", [-1, 1]),
    "position": ("INT64", [-1, 1]),
    "price": ("FP32", [-1, 1]),
}
"""The columns of the gateway tests' `Toy`."""
METADATA: dict[str, Any] = {
    "inputs": [{"name": name, "datatype": kind, "shape": shape} for name, (kind, shape) in V2_INPUTS.items()],
    "outputs": [{"name": "predictions", "datatype": "FP32", "shape": [-1, 1]}],
}


class Scripted:
    """`mode` is what it does: `well`, `slow`, `drip`, `dies`, `refuses`, a status, or an answer's body."""

    def __init__(self) -> None:
        self.mode: str | int | bytes = "well"
        self.ready: Mapping[str, bool] = {}
        """By version; those that are not named are ready."""
        self.asked = self.connections = 0
        self.delay_secs = 0.6
        self.closes_idle = False
        script = self

        class Handler(_Handler):
            scripted = script

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def uri(self, version: str = "7", *, protocol: str = "v2") -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/{protocol}/models/shop/versions/{version}"


class _Handler(BaseHTTPRequestHandler):
    scripted: Scripted
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.scripted.connections += 1

    def do_GET(self) -> None:
        version = self.path.removesuffix("/ready").rpartition("/")[2]
        ready = self.scripted.ready.get(version, True)
        if self.path.endswith("/ready"):
            self._answer(200 if ready else 503, b"{}")
        elif self.path.startswith("/v1"):
            state = {"version": version, "state": "AVAILABLE" if ready else "LOADING"}
            self._answer(200, json.dumps({"model_version_status": [state]}).encode())
        else:
            self._answer(200, json.dumps(METADATA).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.scripted.asked += 1
        mode = self.scripted.mode
        if mode == "slow":
            time.sleep(self.scripted.delay_secs)
        if mode == "dies":
            self.close_connection = True
        elif mode == "drip":
            self._drip()
        elif mode == "refuses":
            self._answer(400, b'{"error": "no such brand"}')
        elif isinstance(mode, int):
            self._answer(mode, b'{"error": "as told"}')
        elif isinstance(mode, bytes):
            self._answer(200, mode)
        else:
            self._answer(200, _predict(body))
        if self.scripted.closes_idle:
            self.close_connection = True

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "40")
        self.end_headers()
        for _ in range(40):
            self.wfile.write(b" ")
            time.sleep(0.05)

    def log_message(self, *_: Any) -> None:
        pass


def _predict(body: dict[str, Any]) -> bytes:
    [prices] = [tensor["data"] for tensor in body["inputs"] if tensor["name"] == "price"]
    data = [0.17 + price / 100 for price in prices]
    return json.dumps({"outputs": [{"name": "predictions", "shape": [len(data), 1], "data": data}]}).encode()


@contextmanager
def running() -> Iterator[Scripted]:
    scripted = Scripted()
    thread = threading.Thread(target=scripted.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield scripted
    finally:
        scripted.server.shutdown()
        scripted.server.server_close()
        thread.join()
