"""Which files of an artifact are of which data day: `days.json` beside them, when the artifact is of several days.

Days(pipeline="shop", days=(Day(day="2026-01-04", digest="…", first=0, count=3),)).write(folder)
Days.read(folder)        # None: one day
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pipelines.manifest import write_atomically
from pipelines.spec import Frozen

DAYS_FILE = "days.json"


class Day(Frozen):
    day: str
    digest: str
    """Of the content of its files: equal content is reused, whatever it was made from."""
    first: int
    """Number of its first file, in all splits."""
    count: int


class Days(Frozen):
    pipeline: str
    days: tuple[Day, ...]
    """Oldest first."""

    @property
    def file_count(self) -> int:
        return sum(day.count for day in self.days)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        path = folder / DAYS_FILE
        return cls.model_validate_json(path.read_bytes()) if path.exists() else None

    def write(self, folder: Path) -> None:
        write_atomically(folder / DAYS_FILE, self.model_dump_json(indent=1).encode() + b"\n")
