"""Rows that say when they happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.components.contract.bad_input import refused
from tests.components.contract.running import COLUMNS, data, rows, run, write_csv


def test_times_outside_the_file(tmp_path: Path) -> None:
    spec = write_times(tmp_path, ["2025-12-30T10:00:00", "2026-01-04T10:00:00"])
    message = refused(tmp_path, spec)
    assert "2026-01-05" in message and "2025-12-30 to 2026-01-04" in message


def test_one_unreadable_time_goes_to_quarantine(tmp_path: Path) -> None:
    spec = write_times(tmp_path, ["2026-01-05T10:00:00"] * 60 + ["soon"] + [""] + ["2026-01-04T23:59:59"] * 10)
    result = run(tmp_path / "out", spec | {"min_rows": 1, "max_quarantined": 1})
    assert result.rows.num_rows == 60
    assert result.reasons == ["time: not a time in iso", "time: missing"]


@pytest.mark.parametrize(("window", "count"), [(1, 1), (2, 2), (3, 3), (4, 4)])
def test_a_window_ends_with_the_day_and_is_utc(tmp_path: Path, window: int, count: int) -> None:
    times = [
        "2026-01-06T00:00:00Z",
        "2026-01-06T01:00:00+02:00",
        "2026-01-04T00:00:00Z",
        "2026-01-03",
        "2026-01-02T23:59:59.999",
    ]
    spec = write_times(tmp_path, times)
    spec["source"] |= {"window_days": window}
    assert run(tmp_path / "out", spec | {"min_rows": 1}).rows.num_rows == count


def write_times(folder: Path, times: list[str]) -> dict[str, Any]:
    """Writes one CSV with a row for each time; returns its `Spec.data`."""
    write_csv(folder / "all.csv", rows(len(times)) | {"time": times})
    source = {"format": "csv", "path": str(folder / "all.csv"), "time_column": "time"}
    return data(folder, source=source, columns=COLUMNS | {"time": "string"})
