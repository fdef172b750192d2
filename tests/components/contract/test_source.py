from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from components.contract import source
from components.contract.source import files_by_day, parse_day, source_fingerprint
from components.examples.records import serialize, to_lists
from pipelines.errors import DataError, SpecError
from pipelines.manifest import Manifest
from pipelines.settings import Settings
from pipelines.spec import Source
from tests.components.contract.running import COLUMNS, DAY, data, rows, run, write_parquet

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


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl", "tfrecord"])
def test_hive_partitions_of_every_format(tmp_path: Path, kind: str) -> None:
    """A day is a folder of folders of files, as Spark writes them; other days and unfinished files stay out."""
    made = pa.table(rows(90))
    for name, day, first in (
        ("hour=07/a", DAY, 0),
        ("hour=08/a", DAY, 30),
        ("hour=07/_b", DAY, 0),
        ("hour=07/a", "2026-01-04", 60),
    ):
        write(made.slice(first, 30), tmp_path / f"day={day}" / f"{name}.{kind}")
    source = {"format": kind, "path": f"{tmp_path}/day={{day}}/hour=*/*.{kind}"}
    result = run(tmp_path / "out", data(tmp_path, source=source))
    assert result.rows["item"].to_pylist() == list(range(60))
    window = run(tmp_path / "window", data(tmp_path, source=source | {"window_days": 2}))
    assert window.rows["item"].to_pylist() == [*range(60, 90), *range(60)]


def write(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))
    else:
        kinds = {name: str(kind) for name, kind in COLUMNS.items()}
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in serialize(to_lists(table.to_batches()[0], kinds)):
                writer.write(record)


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
