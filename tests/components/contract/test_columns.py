"""Columns that are missing, empty or of another type."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.components.contract.bad_input import refused, write_parquet_data
from tests.components.contract.running import COLUMNS, changed, data, rows, run, write_parquet


def test_a_renamed_column_is_guessed(tmp_path: Path) -> None:
    made = rows()
    made["Price_"] = made.pop("price")
    message = refused(tmp_path, write_parquet_data(tmp_path, made))
    assert "'price'" in message and "'Price_'" in message


def test_a_missing_column(tmp_path: Path) -> None:
    made = rows()
    del made["clicked"]
    assert "'clicked'" in refused(tmp_path, write_parquet_data(tmp_path, made))


def test_a_column_that_one_of_two_files_lacks(tmp_path: Path) -> None:
    made = rows()
    write_parquet(tmp_path, made)
    write_parquet(tmp_path, {name: values for name, values in made.items() if name != "item"}, name="b.parquet")
    message = refused(tmp_path, data(tmp_path))
    assert "'item'" in message and "b.parquet" in message


def test_files_whose_undeclared_columns_differ_are_one_day(tmp_path: Path) -> None:
    made = rows(200)
    write_parquet(tmp_path, {name: values[:100] for name, values in made.items()} | {"source": ["web"] * 100})
    write_parquet(
        tmp_path, {name: values[100:] for name, values in made.items()} | {"source": [7] * 100}, name="b.parquet"
    )
    assert run(tmp_path / "out", data(tmp_path)).rows.to_pydict() == made


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("price", ["cheap"] * 100),
        ("price", [["1"]] * 100),
        ("user", list(range(100))),
        ("user", [1.5] * 100),
        ("item", [datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC)] * 100),
        ("item", [row + 0.5 for row in range(100)]),
        ("new", [row + 2 for row in range(100)]),
        ("query", [{"text": "shoes"}] * 100),
    ],
)
def test_a_column_of_another_type(tmp_path: Path, column: str, values: list[Any]) -> None:
    message = refused(tmp_path, write_parquet_data(tmp_path, rows() | {column: values}))
    assert f"{column!r}" in message and COLUMNS[column] in message


@pytest.mark.parametrize("column", ["price", "clicked", "user"])
def test_a_required_column_that_is_empty(tmp_path: Path, column: str) -> None:
    message = refused(tmp_path, write_parquet_data(tmp_path, changed(column, dict.fromkeys(range(100)))))
    assert f"{column!r}" in message and "null in every row" in message
