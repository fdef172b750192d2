"""The process: a socket, the event loop, the model loaded in a thread, and an end that cuts nobody off.

    python -m components.serving --model PATH --name shop --port 0 --port-file port.txt

It listens at once and is live; it is ready when the model has answered a few rows. SIGTERM makes it unready, and after
`--drain-secs` it takes no more connections and ends when the last request is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from components.processes import die_with
from components.serving.application import BODY_LIMIT_BYTES, Application
from pipelines.errors import DaybreakError, ResourceError

_log = logging.getLogger(__name__)
GRACE_SECS = 10


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.parent:
        die_with(options.parent)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        return _serve(options)
    except DaybreakError as error:
        print(f"serving: {error}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m components.serving")
    parser.add_argument("--model", required=True, type=Path, help="folder of the SavedModel")
    parser.add_argument("--name", required=True, help="of the model, in paths")
    parser.add_argument("--version", default="1")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default=8501, type=int, help="0 takes a free one")
    parser.add_argument("--port-file", type=Path, help="where the port is written once the server listens")
    parser.add_argument("--drain-secs", default=1.0, type=float, help="between SIGTERM and the last new connection")
    parser.add_argument("--body-limit-bytes", default=BODY_LIMIT_BYTES, type=int)
    parser.add_argument("--parent", type=int, help="process id: the server ends with it")
    return parser


def _serve(options: argparse.Namespace) -> int:
    application = Application(name=options.name, version=options.version, body_limit_bytes=options.body_limit_bytes)
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECS,
    )
    server = _Server(config, application, options)
    listening = _listen(options.host, options.port)
    if options.port_file:
        _write_port(options.port_file, listening.getsockname()[1])
    server.run(sockets=[listening])
    if server.failure:
        raise server.failure
    return 0


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, application: Application, options: argparse.Namespace) -> None:
        super().__init__(config)
        self.failure: Exception | None = None
        self._application, self._options = application, options

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self._loading = asyncio.create_task(self._load())

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(_load, self._application, self._options.model)
        except Exception as error:  # noqa: BLE001 - raised again by `_serve`
            self.failure, self.should_exit = error, True
            return
        # What lives now lives on: collections need not look at TensorFlow's million objects again.
        gc.collect()
        gc.freeze()
        _log.info("model %s is ready", self._options.name)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._application.draining or sig == signal.SIGINT:
            self.should_exit = True
            return
        _log.info("%s: draining for %g s", signal.Signals(sig).name, self._options.drain_secs)
        self._application.drain()
        self._loop.call_soon_threadsafe(self._loop.call_later, self._options.drain_secs, self._end)

    def _end(self) -> None:
        self.should_exit = True


def _load(application: Application, model: Path) -> None:
    # A saved graph needs no Keras, yet TensorFlow imports it where it finds it: half of the start's CPU seconds (2.4 of
    # 4.9) and 180 MB. None in `sys.modules` is Python's way to say that it is not there.
    sys.modules.setdefault("keras", None)  # type: ignore[arg-type]
    # TFX sets it in the nodes that start a server; then it would be the older Keras.
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    from components.serving.engine import TensorFlowEngine

    application.serve(TensorFlowEngine(model))


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        # The clients of a load test connect all at once.
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise ResourceError(
            f"`--port` must be free on {host}. Received: {port}: {error}", fix="give --port 0 or another one"
        ) from error
    return listening


def _write_port(path: Path, port: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(f"{port}\n")
    os.replace(temporary, path)
