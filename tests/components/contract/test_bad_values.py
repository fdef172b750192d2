"""Single values that do not fit go to quarantine, and cost the others nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.components.contract.bad_input import csv_lines, write_lines, write_parquet_data
from tests.components.contract.running import COLUMNS, rows, run


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("price", "cheap"),
        ("price", "1_000"),
        ("item", "7.5"),
        ("item", "inf"),
        ("item", "1_000"),
        ("item", "9223372036854775808"),
        ("new", "maybe"),
        ("clicked", "no"),
    ],
)
def test_one_value_of_another_type_goes_to_quarantine_as_it_was(tmp_path: Path, column: str, value: str) -> None:
    lines = csv_lines()
    values = dict(zip(COLUMNS, lines[30].strip().split(","), strict=True)) | {column: value}
    lines[30] = ",".join(values.values()) + "\n"
    result = run(tmp_path / "out", write_lines(tmp_path, lines))
    assert [row[column] for row in result.quarantine] == [value]
    assert result.reasons == [f"{column}: not of type {COLUMNS[column]}"]
    assert result.rows.num_rows == 99


def test_a_bad_value_costs_the_others_no_digits(tmp_path: Path) -> None:
    lines = csv_lines()
    lines[0] = f"u1,{2**53 + 1},1.5,True,q,0\n"
    lines[1] = "u1,no number,1.5,True,q,0\n"
    result = run(tmp_path / "out", write_lines(tmp_path, lines))
    assert result.rows["item"][0].as_py() == 2**53 + 1


@pytest.mark.parametrize("text", ["NA", "nan", "null", "N/A", " ", ""])
def test_what_tools_write_for_a_missing_number_is_missing_but_a_text_is_kept(tmp_path: Path, text: str) -> None:
    lines = csv_lines()
    lines[30] = f"u1,{text},1.5,True,{text},0\n"
    row = run(tmp_path / "out", write_lines(tmp_path, lines)).rows.slice(30, 1).to_pylist()[0]
    assert row["item"] is None and row["query"] == (text or None)


@pytest.mark.parametrize("text", ["30.0", " 30", "+30"])
def test_other_ways_to_write_an_int(tmp_path: Path, text: str) -> None:
    lines = csv_lines()
    lines[30] = f"u1,{text},1.5,True,q,0\n"
    assert run(tmp_path / "out", write_lines(tmp_path, lines)).rows["item"][30].as_py() == 30


@pytest.mark.parametrize(("column", "value"), [("item", 1e30), ("item", 0.5), ("new", 2), ("item", float("inf"))])
def test_one_number_that_does_not_fit_in_a_parquet(tmp_path: Path, column: str, value: float) -> None:
    made = rows()
    made[column] = [float(value if row == 7 else row % 2) for row in range(100)]
    result = run(tmp_path / "out", write_parquet_data(tmp_path, made))
    assert result.reasons == [f"{column}: not of type {COLUMNS[column]}"]


def test_ints_beyond_float_precision_are_floats(tmp_path: Path) -> None:
    made = rows() | {"item": [2**53 + 1] * 100}
    spec = write_parquet_data(tmp_path, made) | {"columns": COLUMNS | {"item": "float"}}
    assert run(tmp_path / "out", spec).rows["item"][0].as_py() == float(2**53)


@pytest.mark.parametrize(
    ("column", "value"),
    [("scores", [1.0, None]), ("scores", [float("nan")]), ("names", ["a", None]), ("ids", [1, None])],
)
def test_a_list_with_a_hole_goes_to_quarantine(tmp_path: Path, column: str, value: list[Any]) -> None:
    made = rows() | {"scores": [[1.0]] * 100, "names": [["a"]] * 100, "ids": [[1]] * 100}
    made[column] = [value if row == 7 else made[column][row] for row in range(100)]
    spec = write_parquet_data(tmp_path, made)
    spec |= {"columns": COLUMNS | {"scores": "floats", "names": "strings", "ids": "ints"}}
    result = run(tmp_path / "out", spec)
    assert [row["item"] for row in result.quarantine] == ["7"] and column in result.reasons[0]
