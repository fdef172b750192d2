"""The gateway as a process.

python -m components.gateway --split split.json --log PATH --port 0 --port-file port.txt
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path

from components.exposures.log import ROTATE_SECS, Log
from components.gateway.application import Application
from components.gateway.clock import Clock
from components.gateway.routing import DEADLINE_SECS, Router
from components.gateway.shadow import Shadow
from components.gateway.watching import POLL_SECS, SplitWatch
from components.serving.engines.loading import load_engine
from components.serving.process import frame_of, freeze, process_options, run_main, run_process, without_keras

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m components.gateway", parents=[process_options(port=8600)])
    parser.add_argument("--split", required=True, type=Path, help="the split document; read again when it changes")
    parser.add_argument("--log", required=True, type=Path, help="folder of exposures and outcomes")
    parser.add_argument("--name", default=f"{socket.gethostname()}-{os.getpid()}", help="of this gateway, in the log")
    parser.add_argument("--simulated-clock", action="store_true", help="the time is that of x-simulated-time")
    parser.add_argument("--deadline-ms", default=DEADLINE_SECS * 1000, type=float, help="then the champion answers")
    parser.add_argument("--rotate-secs", default=ROTATE_SECS, type=float, help="between two files of the log")
    parser.add_argument("--poll-secs", default=POLL_SECS, type=float, help="between two looks at the split document")
    return run_main("gateway", parser.parse_args(arguments), _serve)


def _serve(options: argparse.Namespace) -> None:
    log = Log(options.log, gateway=options.name, rotate_secs=options.rotate_secs)
    deadline_secs = options.deadline_ms / 1000
    # Ids must never come twice, so they do not rest on a name that somebody gave.
    router = Router(log, secrets.token_hex(8), Shadow(log, deadline_secs=deadline_secs), deadline_secs)
    application = Application(frame_of(options), router, Clock(simulated=options.simulated_clock))
    watch = SplitWatch(options.split, load=load_engine, on_change=application.take, poll_secs=options.poll_secs)
    application.watch(watch)
    running: list[asyncio.Task[None]] = []

    async def prepare() -> None:
        await asyncio.to_thread(_import_engine)
        freeze()
        await watch.look()
        _log.info("the gateway %s", "is ready" if watch.lineup else "waits for a split document")
        running.extend(asyncio.create_task(work()) for work in (watch.run, router.shadow.run))

    try:
        run_process(application, application.frame, options, prepare=prepare)
    finally:
        log.close()


def _import_engine() -> None:
    without_keras()
    import tensorflow as tf

    # Parts that TensorFlow imports when they are first used belong to what is frozen.
    _ = (tf.compat.v1.saved_model.load, tf.compat.v1.Session, tf.errors.OpError)
