from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import pytest

from components.contract import source
from components.contract.source import files_by_day, parse_day, source_fingerprint
from pipelines.errors import DataError, SpecError
from pipelines.manifest import Manifest
from pipelines.settings import Settings
from pipelines.spec import Source
from tests.components.contract.running import DAY, data, rows, write_parquet

TODAY = datetime.date(2026, 1, 5)


def manifest(spec: dict[str, Any] | None) -> Manifest:
    return Manifest(pipeline="shop", ir="shop.ir.json", ir_digest="", spec=spec, nodes=())


def fingerprint(folder: Path, *, day: str = DAY, **changes: Any) -> str:
    return source_fingerprint(manifest({"data": data(folder, **changes)}), {"day": day, "rows_limit": 0})


def settings(folder: Path) -> Settings:
    return Settings(home=folder, state=folder / "state")


def test_today_is_no_future_day() -> None:
    assert parse_day("2026-01-05", today=TODAY) == TODAY
    with pytest.raises(DataError, match="future"):
        parse_day("2026-01-06", today=TODAY)


def test_the_files_of_a_day_come_in_name_order(tmp_path: Path) -> None:
    for name in ("b.parquet", "a.parquet", "_temporary.parquet", ".c.parquet"):
        write_parquet(tmp_path, rows(), name=name)
    one = Source(format="parquet", path=f"{tmp_path}/day={{day}}/*.parquet")
    found = files_by_day(one, TODAY, settings(tmp_path))
    assert [path.name for path in found[TODAY]] == ["a.parquet", "b.parquet"]


def test_a_window_is_oldest_first_and_may_have_gaps_before_the_day(tmp_path: Path) -> None:
    for day in ("2026-01-03", "2026-01-05", "2026-01-06", "2026-01-01"):
        write_parquet(tmp_path, rows(), day=day)
    three = Source(format="parquet", path=f"{tmp_path}/day={{day}}/*.parquet", window_days=3)
    found = files_by_day(three, TODAY, settings(tmp_path))
    assert [(str(day), len(paths)) for day, paths in found.items()] == [
        ("2026-01-03", 1),
        ("2026-01-04", 0),
        ("2026-01-05", 1),
    ]


def test_a_relative_path_starts_where_the_project_lies(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("a\n1\n")
    one = Source(format="csv", path="all.csv", time_column="a")
    assert files_by_day(one, TODAY, settings(tmp_path)) == {TODAY: [tmp_path / "all.csv"]}


def test_a_path_with_brackets_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "[x]" / "all.csv"
    path.parent.mkdir()
    path.write_text("a\n1\n")
    assert files_by_day(Source(format="csv", path=str(path), time_column="a"), TODAY, settings(tmp_path)) == {
        TODAY: [path]
    }


def test_variables_of_the_path_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "all.csv").write_text("a\n1\n")
    one = Source(format="csv", path="${DAYBREAK_TEST_FOLDER}/all.csv", time_column="a")
    with pytest.raises(SpecError, match="DAYBREAK_TEST_FOLDER is not set"):
        files_by_day(one, TODAY, settings(tmp_path))
    monkeypatch.setenv("DAYBREAK_TEST_FOLDER", str(tmp_path))
    assert len(files_by_day(one, TODAY, settings(tmp_path))[TODAY]) == 1


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, rows())
    before, content = fingerprint(tmp_path), path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    assert fingerprint(tmp_path) != before
    path.write_bytes(content)
    os.utime(path, (1, 1))
    assert fingerprint(tmp_path) == before


def test_the_fingerprint_follows_names_and_number_of_files(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, rows())
    before = fingerprint(tmp_path)
    second = write_parquet(tmp_path, rows(), name="b.parquet")
    assert fingerprint(tmp_path) != before
    path.unlink()
    assert fingerprint(tmp_path) != before
    second.rename(path)
    assert fingerprint(tmp_path) == before


def test_the_fingerprint_covers_the_window_and_nothing_else(tmp_path: Path) -> None:
    for day in ("2026-01-03", "2026-01-04", "2026-01-05"):
        write_parquet(tmp_path, rows(), day=day)
    before = fingerprint(tmp_path, source={"window_days": 2})
    write_parquet(tmp_path, rows(50), day="2026-01-03")
    assert fingerprint(tmp_path, source={"window_days": 2}) == before
    write_parquet(tmp_path, rows(50), day="2026-01-04")
    assert fingerprint(tmp_path, source={"window_days": 2}) != before


def test_large_files_count_by_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "HASHED_BYTES", 10)
    path = write_parquet(tmp_path, rows())
    before = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == before
    os.utime(path, ns=(1, 1))
    assert fingerprint(tmp_path) != before


def test_a_manifest_without_a_spec_has_no_source(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="holds no spec"):
        source_fingerprint(manifest(None), {"day": DAY})
