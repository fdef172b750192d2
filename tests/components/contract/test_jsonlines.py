from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from components.contract import jsonlines
from pipelines.errors import DataError
from tests.components.contract.running import COLUMNS, DAY, Result, changed, data, rows, run, write_parquet


def lines_of(columns: dict[str, list[Any]]) -> list[str]:
    names = list(columns)
    return [json.dumps(dict(zip(names, values, strict=True))) for values in zip(*columns.values(), strict=True)]


def jsonl_data(
    folder: Path, lines: list[str] | list[bytes], *, name: str = "a.jsonl", **changes: Any
) -> dict[str, Any]:
    """Writes the day; returns its `Spec.data`."""
    content = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
    path = folder / f"day={DAY}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return data(folder, source={"format": "jsonl", "path": f"{folder}/day={{day}}/{name}"}, **changes)


def with_line(number: int, line: str) -> list[str]:
    return [line if row == number else text for row, text in enumerate(lines_of(rows()))]


def run_with(folder: Path, line: str, **changes: Any) -> Result:
    """A day whose line 30 is another one."""
    return run(folder / "out", jsonl_data(folder, with_line(30, line), **changes))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_the_same_rows_as_a_parquet(tmp_path: Path, name: str) -> None:
    write_parquet(tmp_path, rows())
    expected = run(tmp_path / "parquet", data(tmp_path))
    found = run(tmp_path / "jsonl", jsonl_data(tmp_path, lines_of(rows()), name=name))
    assert found.rows_file.read_bytes() == expected.rows_file.read_bytes()


def test_values_read_alone_are_the_same_as_those_read_in_blocks(tmp_path: Path) -> None:
    """One value that is not as declared has its block read line by line."""
    recent: list[Any] = [["a", ""] if row % 2 else [] for row in range(100)]
    made = changed("price", {1: 1e-7, 2: 0.1, 3: 345.678901234567}) | {
        "recent": recent,
        "ids": [[row] for row in range(100)],
    }
    columns = COLUMNS | {"recent": "strings", "ids": "ints"}
    clean = run(tmp_path / "clean", jsonl_data(tmp_path, lines_of(made), columns=columns))
    made["item"][99] = "99"
    alone = run(tmp_path / "alone", jsonl_data(tmp_path, lines_of(made), columns=columns))
    assert alone.rows.equals(clean.rows) and clean.rows["recent"].to_pylist() == recent


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "the line is no JSON object"),
        ("[1, 2]", "the line is no JSON object"),
        ("null", "clicked: missing; user: missing; price: missing"),
        ('{"user": "u1", "item": [7], "price": 1.5, "clicked": 0}', "item: not of type int"),
        ('{"user": {"id": 1}, "item": 7, "price": 1.5, "clicked": 0}', "user: not of type string"),
        ('{"user": "u1", "item": 7.5, "price": 1.5, "clicked": 0}', "item: not of type int"),
        ('{"user": "u1", "item": 9223372036854775808, "price": 1.5, "clicked": 0}', "item: not of type int"),
        ('{"user": "u1", "item": 7, "price": "cheap", "clicked": 0}', "price: not of type float"),
        ('{"user": "u1", "item": 7, "price": Infinity, "clicked": 0}', "price: infinite or beyond float32"),
        ('{"user": "u1", "item": 7, "price": 1.5}', "clicked: missing"),
        ('{"user": null, "item": 7, "price": 1.5, "clicked": 0}', "user: missing"),
    ],
)
def test_a_bad_line_goes_to_quarantine_as_it_was(tmp_path: Path, line: str, reason: str) -> None:
    result = run_with(tmp_path, line)
    assert [row["_line"] for row in result.quarantine] == [line] and result.reasons == [reason]
    assert result.rows.num_rows == 99 and result.check("quarantined share").observed == 0.01


@pytest.mark.parametrize("value", ["30", "30.0", '"30"', '" +30"', "3e1"])
def test_ways_to_write_an_int(tmp_path: Path, value: str) -> None:
    result = run_with(tmp_path, f'{{"user": "u1", "item": {value}, "price": 1.5, "clicked": 0}}')
    assert result.rows["item"].to_pylist()[30:31] == ([30] if value != "3e1" else [31])


def test_a_list_where_one_is_declared(tmp_path: Path) -> None:
    made = rows() | {"scores": [[1.5, 2]] * 100}
    lines = lines_of(made)
    lines[30] = lines[30].replace("[1.5, 2]", "1.5")
    lines[31] = lines[31].replace("[1.5, 2]", "[1.5, null]")
    result = run(tmp_path / "out", jsonl_data(tmp_path, lines, columns=COLUMNS | {"scores": "floats"}))
    assert sorted(result.reasons) == ["scores: a list with a missing element", "scores: not of type floats"]


def test_equal_lines_are_repetitions(tmp_path: Path) -> None:
    lines = lines_of(rows())
    lines[50] = lines[3]
    result = run(tmp_path / "out", jsonl_data(tmp_path, lines))
    assert result.reasons == ["the same as an earlier row"] and result.quarantine[0]["_line"] == lines[3]


def test_undeclared_keys_tell_rows_apart_and_are_named(tmp_path: Path) -> None:
    made = {name: [values[0]] * 100 for name, values in rows().items()} | {"id": list(range(100))}
    result = run(tmp_path / "out", jsonl_data(tmp_path, lines_of(made)))
    assert result.rows.num_rows == 100 and result.check("columns not declared").reason == "dropped: id"


def test_blocks_and_blank_lines_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "_BLOCK_BYTES", 500)
    lines = [line for text in lines_of(rows()) for line in (text, "", "  ")]
    assert run(tmp_path / "out", jsonl_data(tmp_path, lines)).rows.to_pydict() == rows()


def test_a_column_of_another_type(tmp_path: Path) -> None:
    spec = jsonl_data(tmp_path, lines_of(rows() | {"price": ["cheap"] * 100}))
    with pytest.raises(DataError, match="column 'price' must be of type float: 100 of 100 values are not"):
        run(tmp_path / "out", spec)


@pytest.mark.parametrize(
    ("lines", "message"), [([b""], "no rows"), ([b'{"user": "stra\xdfe"}'], "not UTF-8 in line 1")]
)
def test_a_file_that_cannot_be_read(tmp_path: Path, lines: list[bytes], message: str) -> None:
    with pytest.raises(DataError, match=message):
        run(tmp_path / "out", jsonl_data(tmp_path, lines))
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize("keep", [5, -10])
def test_a_truncated_gzip(tmp_path: Path, keep: int) -> None:
    spec = jsonl_data(tmp_path, lines_of(rows()), name="a.jsonl.gz")
    path = tmp_path / f"day={DAY}" / "a.jsonl.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="not readable as jsonl"):
        run(tmp_path / "out", spec)


def test_a_file_that_is_no_gzip(tmp_path: Path) -> None:
    spec = jsonl_data(tmp_path, lines_of(rows()), name="a.jsonl.gz")
    (tmp_path / f"day={DAY}" / "a.jsonl.gz").write_bytes(b'{"user": "u1"}\n')
    with pytest.raises(DataError, match="not readable as jsonl"):
        run(tmp_path / "out", spec)
