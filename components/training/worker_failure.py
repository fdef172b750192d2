"""Why a worker process failed, told to the process that supervises it: `worker-<rank>.json`."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines import errors
from pipelines.errors import DaybreakError
from pipelines.manifest import write_atomically


def write_failure(folder: Path, rank: int, failure: DaybreakError) -> None:
    told = {"kind": type(failure).__name__, "message": failure.message, "fix": failure.fix, "place": failure.place}
    write_atomically(folder / f"worker-{rank}.json", json.dumps(told).encode())


def read_failure(folder: Path, rank: int) -> DaybreakError | None:
    """The error as its class; None when the worker left no word (killed, or ended well)."""
    path = folder / f"worker-{rank}.json"
    if not path.exists():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    kind = getattr(errors, told["kind"], DaybreakError)
    failure: DaybreakError = kind(told["message"], fix=told["fix"], place=told["place"])
    return failure
