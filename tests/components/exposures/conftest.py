"""Records with little in them, and a small disk."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.exposures.reading import rows
from components.exposures.records import Exposure, Outcome

DAY_MICROS = 86_400_000_000
NOON = 1_767_614_400_000_000  # 2026-01-05 12:00 UTC


def exposure(number: int, *, time: int = NOON, context: str = "{}") -> Exposure:
    return Exposure(decision_id=f"d{number}", time=time, model="shop", unit_id=f"u{number}", context=context)


def outcome(number: int, *, time: int = NOON, received: int = NOON) -> Outcome:
    return Outcome(f"o{number}", f"d{number}", "i1", "clicked", 1.0, time, received)


def ids(log: Path, kind: str) -> list[str]:
    """All of them, of every day."""
    import datetime

    days = [
        datetime.date.fromisoformat(folder.name.removeprefix("day=")) for folder in sorted((log / kind).glob("day=*"))
    ]
    return [one for table in rows(log, kind, days) for one in table.column(0).to_pylist()]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
