"""Becoming a command of the ML environment: `become_ml("pipelines.check", ["shop"])`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from pipelines.errors import ResourceError
from pipelines.settings import Settings


def become_ml(module: str, arguments: Sequence[str]) -> NoReturn:
    """Replaces this process by `python -m module …` of the ML environment, so that signals and exit code are its own."""
    settings = Settings.from_environment()
    python = settings.python("ml")
    if not python.exists():
        raise ResourceError(f"the ML environment is not built. Received: no {python}", fix="run `make env`")
    paths = [str(settings.home), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    sys.stdout.flush()
    os.execv(python, [str(python), "-m", module, *arguments])
