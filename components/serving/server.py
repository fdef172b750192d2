"""The server of one model as a process.

python -m components.serving --model PATH --name shop --port 0 --port-file port.txt
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Sequence

from components.serving.application import Application
from components.serving.process import frame_of, freeze, process_options, run_main, run_process, without_keras

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m components.serving", parents=[process_options(port=8501)])
    parser.add_argument(
        "--model", required=True, help="folder of the SavedModel or its LiteRT file, or a server's address"
    )
    parser.add_argument("--name", required=True, help="of the model, in paths")
    parser.add_argument("--version", default="1")
    return run_main("serving", parser.parse_args(arguments), _serve)


def _serve(options: argparse.Namespace) -> None:
    application = Application(name=options.name, version=options.version, frame=frame_of(options))

    async def prepare() -> None:
        await asyncio.to_thread(_load, application, options.model)
        freeze()
        _log.info("model %s is ready", options.name)

    run_process(application, application.frame, options, prepare=prepare)


def _load(application: Application, model: str) -> None:
    without_keras()
    from components.serving.engines.loading import load_engine

    application.serve(load_engine(model))
