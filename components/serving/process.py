"""The process around an ASGI application: a socket, the event loop, what must be loaded first, and an end that cuts nobody off.

    parser = argparse.ArgumentParser(parents=[process_options(port=8501)])
    run_process(application, application.frame, options, prepare=load)      # returns when the last request is answered

It listens at once and is live; `prepare` makes it ready. SIGTERM makes it unready, and after `--drain-secs` it takes no more
connections and ends when the last request is answered.
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
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from components.processes import die_with
from components.serving.access_log import AccessLog
from components.serving.asgi import BODY_LIMIT_BYTES, IN_FLIGHT, Frame, Limits
from pipelines.errors import DaybreakError, ResourceError

_log = logging.getLogger(__name__)
GRACE_SECS = 10


def process_options(*, port: int) -> argparse.ArgumentParser:
    """What every server takes, as a parent of its own parser."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default=port, type=int, help="0 takes a free one")
    parser.add_argument("--port-file", type=Path, help="where the port is written once the server listens")
    parser.add_argument("--drain-secs", default=1.0, type=float, help="between SIGTERM and the last new connection")
    parser.add_argument("--body-limit-bytes", default=BODY_LIMIT_BYTES, type=int)
    parser.add_argument("--in-flight", default=IN_FLIGHT, type=int, help="requests at a time; one more is answered 429")
    parser.add_argument("--access-log", type=Path, help="a line of JSON for each answer; - is standard output")
    parser.add_argument("--parent", type=int, help="process id: the server ends with it")
    return parser


def frame_of(options: argparse.Namespace) -> Frame:
    try:
        access_log = AccessLog(options.access_log) if options.access_log else None
    except OSError as error:
        raise ResourceError(
            f"`--access-log` must be a file that can be written. Received: {error}", fix="give another path, or -"
        ) from error
    return Frame(Limits(body_bytes=options.body_limit_bytes, in_flight=options.in_flight), access_log=access_log)


def run_main(name: str, options: argparse.Namespace, serve: Callable[[argparse.Namespace], None]) -> int:
    """The exit code; what users can act on is one message."""
    if options.parent:
        die_with(options.parent)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        serve(options)
    except DaybreakError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run_process(
    application: Any, frame: Frame, options: argparse.Namespace, *, prepare: Callable[[], Awaitable[None]]
) -> None:
    """`prepare` runs on the event loop once the server listens; what it raises ends the server and is raised here."""
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
    server = _Server(config, frame, prepare, drain_secs=options.drain_secs)
    listening = _listen(options.host, options.port)
    if options.port_file:
        _write_port(options.port_file, listening.getsockname()[1])
    server.run(sockets=[listening])
    if server.failure:
        raise server.failure


def freeze() -> None:
    """What lives now lives on: collections need not look at TensorFlow's million objects again."""
    gc.collect()
    gc.freeze()


def without_keras() -> None:
    """Before TensorFlow is imported."""
    # A saved graph needs no Keras, yet TensorFlow imports it where it finds it: half of the start's CPU seconds (2.4 of
    # 4.9) and 180 MB. None in `sys.modules` is Python's way to say that it is not there.
    sys.modules.setdefault("keras", None)  # type: ignore[arg-type]
    # TFX sets it in the nodes that start a server; then it would be the older Keras.
    os.environ.pop("TF_USE_LEGACY_KERAS", None)


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, frame: Frame, prepare: Callable[[], Awaitable[None]], *, drain_secs: float
    ) -> None:
        super().__init__(config)
        self.failure: Exception | None = None
        self._frame, self._prepare, self._drain_secs = frame, prepare, drain_secs

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self._preparing = asyncio.create_task(self._run_prepare())

    async def _run_prepare(self) -> None:
        try:
            await self._prepare()
        except Exception as error:  # noqa: BLE001 - raised again by `run_process`
            self.failure, self.should_exit = error, True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._frame.draining or sig == signal.SIGINT:
            self.should_exit = True
            return
        _log.info("%s: draining for %g s", signal.Signals(sig).name, self._drain_secs)
        self._frame.drain()
        self._loop.call_soon_threadsafe(self._loop.call_later, self._drain_secs, self._end)

    def _end(self) -> None:
        self.should_exit = True


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
