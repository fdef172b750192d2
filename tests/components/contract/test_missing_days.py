"""A day that is not there, is none or is yet to come ends in one error with a way out."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from tests.components.contract.bad_input import refused
from tests.components.contract.running import data, rows, write_parquet


def test_a_missing_day_names_the_days_there_are(tmp_path: Path) -> None:
    for day in range(10, 20):
        write_parquet(tmp_path, rows(), day=f"2025-12-{day}")
    message = refused(tmp_path, data(tmp_path))
    assert "no data of 2026-01-05" in message
    assert "2025-12-19" in message and "2025-12-15" in message and "2025-12-14" not in message and "5 before" in message


def test_no_data_at_all(tmp_path: Path) -> None:
    assert f"{tmp_path}/day=2026-01-05" in refused(tmp_path, data(tmp_path))


def test_hidden_and_temporary_files_are_no_day(tmp_path: Path) -> None:
    for name in ("_a.parquet", ".a.parquet"):
        write_parquet(tmp_path, rows(), name=name)
    assert "no data of 2026-01-05" in refused(tmp_path, data(tmp_path))


@pytest.mark.parametrize("day", ["yesterday", "05.01.2026", "2026-02-30", ""])
def test_no_date(tmp_path: Path, day: str) -> None:
    assert f"day={day!r}" in refused(tmp_path, data(tmp_path), day=day)


def test_a_day_in_the_future(tmp_path: Path) -> None:
    tomorrow = str(datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=2))
    write_parquet(tmp_path, rows(), day=tomorrow)
    assert "future" in refused(tmp_path, data(tmp_path), day=tomorrow)
