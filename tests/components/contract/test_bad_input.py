"""Days that cannot be judged end in one error with a way out; single bad rows end in quarantine."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from components.decision.report import Verdict
from pipelines.errors import DataError, DaybreakError, SpecError, UserCodeError
from tests.components.contract.running import COLUMNS, DAY, changed, csv_data, data, rows, run, write_csv, write_parquet

HEADER = "user,item,price,new,query,clicked\n"


def csv_lines(count: int = 100) -> list[str]:
    return [
        f"u{row % 17},{row},{10 + row % 7}.5,{row % 2 == 0},red shoes {row},{int(row % 5 == 0)}\n"
        for row in range(count)
    ]


def write_lines(folder: Path, lines: list[str] | list[bytes]) -> dict[str, Any]:
    """Writes a CSV day; returns its `Spec.data`."""
    path = folder / f"{DAY}.csv"
    path.write_bytes(HEADER.encode() + b"".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return csv_data(path)


def refused(folder: Path, spec: dict[str, Any], error: type[DaybreakError] = DataError, **parameters: Any) -> str:
    """The message of the error that the run ends in; nothing is left in its output folders."""
    with pytest.raises(error) as raised:
        run(folder / "out", spec, **parameters)
    assert raised.value.fix
    assert not [path for path in (folder / "out").rglob("*") if path.is_file()]
    assert len(str(raised.value)) < 1500
    return str(raised.value)


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


def test_an_empty_file(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, rows())
    path.write_bytes(b"")
    message = refused(tmp_path, data(tmp_path))
    assert "empty" in message and str(path) in message


def test_a_parquet_without_rows(tmp_path: Path) -> None:
    write_parquet(tmp_path, pa.table(rows()).slice(0, 0))
    assert "no rows" in refused(tmp_path, data(tmp_path))


@pytest.mark.parametrize("content", [HEADER, HEADER.rstrip("\n")])
def test_a_csv_with_only_its_header(tmp_path: Path, content: str) -> None:
    (tmp_path / f"{DAY}.csv").write_text(content)
    assert "no rows" in refused(tmp_path, csv_data(tmp_path / f"{DAY}.csv"))


def test_a_csv_of_blank_lines(tmp_path: Path) -> None:
    (tmp_path / f"{DAY}.csv").write_text("\n\n\n")
    assert str(tmp_path) in refused(tmp_path, csv_data(tmp_path / f"{DAY}.csv"))


@pytest.mark.parametrize("keep", [4, 100, -1])
def test_a_truncated_parquet(tmp_path: Path, keep: int) -> None:
    path = write_parquet(tmp_path, rows())
    path.write_bytes(path.read_bytes()[:keep])
    message = refused(tmp_path, data(tmp_path))
    assert str(path) in message and "parquet" in message


def test_a_damaged_parquet(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, rows(5000))
    content = bytearray(path.read_bytes())
    content[200:2000] = b"\xff" * 1800
    path.write_bytes(content)
    assert str(path) in refused(tmp_path, data(tmp_path))


def test_a_csv_that_is_called_parquet(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, rows())
    path.write_text(HEADER + "".join(csv_lines()))
    assert str(path) in refused(tmp_path, data(tmp_path))


def test_a_parquet_that_is_called_csv(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, rows())
    (tmp_path / f"{DAY}.csv").write_bytes(path.read_bytes())
    assert f"{DAY}.csv" in refused(tmp_path, csv_data(tmp_path / f"{DAY}.csv"))


def test_a_csv_that_ends_within_a_row(tmp_path: Path) -> None:
    message = refused(tmp_path, write_lines(tmp_path, [*csv_lines(), "u1,7"]))
    assert "truncated" in message and "line 102" in message


def test_a_line_with_another_number_of_values_goes_to_quarantine(tmp_path: Path) -> None:
    lines = csv_lines()
    lines[50] = "u1,7,1.5,True,two, words,0\n"
    result = run(tmp_path / "out", write_lines(tmp_path, lines))
    assert result.rows.num_rows == 99
    assert result.quarantine[0]["_line"] == "u1,7,1.5,True,two, words,0"
    assert "7 values" in result.reasons[0] and "6" in result.reasons[0]
    assert result.check("quarantined share").observed == 0.01
    assert result.outputs["quarantine"].row_count == 1


def test_an_unclosed_quote_costs_the_rows_it_swallows(tmp_path: Path) -> None:
    lines = csv_lines()
    lines[80] = 'u1,80,1.5,True,"red shoes,0\n'
    result = run(tmp_path / "out", write_lines(tmp_path, lines))
    assert result.rows.num_rows == 80
    assert result.report.verdict is Verdict.REFUSED
    assert result.check("quarantined share").observed == pytest.approx(0.2)


@pytest.mark.parametrize("last", [81, 90])
def test_a_quote_closed_by_the_quote_of_a_later_row_costs_the_rows_between(tmp_path: Path, last: int) -> None:
    lines = csv_lines()
    lines[80] = 'u1,80,1.5,True,"red shoes,0\n'
    lines[last] = f'u1,{last},1.5,True,"blue shoes",0\n'
    result = run(tmp_path / "out", write_lines(tmp_path, lines))
    assert result.rows["item"].to_pylist() == [*range(80), *range(last + 1, 100)]
    assert result.reasons == ["a quote is not closed: the row holds further lines"]
    assert result.check("quarantined share").observed == pytest.approx((last - 79) / 100)


def test_line_breaks_inside_quotes_are_values(tmp_path: Path) -> None:
    lines = csv_lines()
    lines[80] = 'u1,80,1.5,True,"red\nshoes",0\n'
    result = run(tmp_path / "out", write_lines(tmp_path, lines))
    assert result.rows["query"][80].as_py() == "red\nshoes" and result.quarantine == []


@pytest.mark.parametrize("size", [3_000_000, 40_000_000])
def test_a_giant_value_in_a_csv(tmp_path: Path, size: int) -> None:
    lines = csv_lines()
    lines[80] = f"u1,80,1.5,True,{'x' * size},0\n"
    result = run(tmp_path / "out", write_lines(tmp_path, lines))
    assert [row["item"] for row in result.quarantine] == ["80"] and result.rows.num_rows == 99
    assert result.quarantine_file.stat().st_size < 100_000


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


def test_a_column_twice_in_the_header(tmp_path: Path) -> None:
    path = tmp_path / f"{DAY}.csv"
    path.write_text("user,user,item,price,new,query,clicked\n" + "".join("u," + line for line in csv_lines()))
    assert "'user'" in refused(tmp_path, csv_data(path))


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


def test_a_list_where_a_csv_has_none(tmp_path: Path) -> None:
    spec = write_lines(tmp_path, csv_lines()) | {"columns": COLUMNS | {"query": "strings"}}
    assert "query" in refused(tmp_path, spec, SpecError)


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


@pytest.mark.parametrize("line", [b"u1,7,1.5,True,stra\xdfe,0\n", b"u\xff,7,1.5,True,q,0\n"])
def test_a_csv_that_is_not_utf8(tmp_path: Path, line: bytes) -> None:
    lines: list[bytes] = [text.encode() for text in csv_lines()]
    lines[30] = line
    message = refused(tmp_path, write_lines(tmp_path, lines))
    assert "not UTF-8" in message and "line 32" in message and "iconv" in message


def test_a_header_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / f"{DAY}.csv").write_bytes(
        b"stra\xdfe," + HEADER.encode() + b"".join(b"x," + line.encode() for line in csv_lines())
    )
    assert "not UTF-8" in refused(tmp_path, csv_data(tmp_path / f"{DAY}.csv"))


def test_a_csv_in_utf16(tmp_path: Path) -> None:
    (tmp_path / f"{DAY}.csv").write_bytes((HEADER + "".join(csv_lines())).encode("utf-16"))
    assert "not UTF-8" in refused(tmp_path, csv_data(tmp_path / f"{DAY}.csv"))


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = tmp_path / f"{DAY}.csv"
    path.write_bytes((HEADER + "".join(csv_lines())).replace("\n", "\r\n").encode("utf-8-sig"))
    assert run(tmp_path / "out", csv_data(path)).rows.num_rows == 100


def test_bytes_in_a_parquet_that_are_not_utf8(tmp_path: Path) -> None:
    made = rows() | {"query": pa.array([b"stra\xdfe"] * 100, pa.binary())}
    assert "'query' is not UTF-8" in refused(tmp_path, write_parquet_data(tmp_path, made))


@pytest.mark.parametrize("column", ["price", "clicked", "user"])
def test_a_required_column_that_is_empty(tmp_path: Path, column: str) -> None:
    message = refused(tmp_path, write_parquet_data(tmp_path, changed(column, dict.fromkeys(range(100)))))
    assert f"{column!r}" in message and "null in every row" in message


def test_expectations_that_raise_name_the_line(tmp_path: Path, expect: Callable[[str], None]) -> None:
    expect("def expectations():\n    return [1 / 0]\n")
    message = refused(tmp_path, write_parquet_data(tmp_path, rows()), UserCodeError)
    assert re.search(r"expectations\.py:2", message) and "ZeroDivisionError" in message


@pytest.mark.parametrize(
    "text",
    [
        "def expectations(:\n",
        "import nowhere_at_all\n",
        "",
        "def expectations():\n    return ['price']\n",
        "def expectations():\n    pass\n",
    ],
)
def test_a_module_without_expectations(tmp_path: Path, expect: Callable[[str], None], text: str) -> None:
    expect(text)
    assert "expectations" in refused(tmp_path, write_parquet_data(tmp_path, rows()), UserCodeError)


@pytest.mark.parametrize(
    "expectation",
    [
        "gxe.ExpectColumnValuesToBeBetween(column='nothing', min_value=0)",
        "gxe.ExpectColumnMeanToBeBetween(column='nothing', min_value=0)",
        "gxe.ExpectColumnMeanToBeBetween(column='user', min_value=0)",
        "gxe.ExpectColumnValuesToMatchRegex(column='user', regex='(')",
    ],
)
def test_an_expectation_that_cannot_be_computed(
    tmp_path: Path, expect: Callable[[str], None], expectation: str
) -> None:
    expect(f"from great_expectations import expectations as gxe\ndef expectations():\n    return [{expectation}]\n")
    message = refused(tmp_path, write_parquet_data(tmp_path, rows()), UserCodeError)
    assert "nothing" in message or "user" in message


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


def write_parquet_data(folder: Path, columns: dict[str, Any]) -> dict[str, Any]:
    """Writes a Parquet day; returns its `Spec.data`."""
    write_parquet(folder, columns)
    return data(folder)


def write_times(folder: Path, times: list[str]) -> dict[str, Any]:
    """Writes one CSV with a row for each time; returns its `Spec.data`."""
    write_csv(folder / "all.csv", rows(len(times)) | {"time": times})
    source = {"format": "csv", "path": str(folder / "all.csv"), "time_column": "time"}
    return data(folder, source=source, columns=COLUMNS | {"time": "string"})
