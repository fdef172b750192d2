"""CSV files that are damaged, and single lines that are broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.decision.report import Verdict
from pipelines.errors import SpecError
from tests.components.contract.bad_input import HEADER, csv_lines, refused, write_lines
from tests.components.contract.running import COLUMNS, DAY, csv_data, rows, run, write_parquet


@pytest.mark.parametrize("content", [HEADER, HEADER.rstrip("\n")])
def test_a_csv_with_only_its_header(tmp_path: Path, content: str) -> None:
    (tmp_path / f"{DAY}.csv").write_text(content)
    assert "no rows" in refused(tmp_path, csv_data(tmp_path / f"{DAY}.csv"))


def test_a_csv_of_blank_lines(tmp_path: Path) -> None:
    (tmp_path / f"{DAY}.csv").write_text("\n\n\n")
    assert str(tmp_path) in refused(tmp_path, csv_data(tmp_path / f"{DAY}.csv"))


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


def test_a_column_twice_in_the_header(tmp_path: Path) -> None:
    path = tmp_path / f"{DAY}.csv"
    path.write_text("user,user,item,price,new,query,clicked\n" + "".join("u," + line for line in csv_lines()))
    assert "'user'" in refused(tmp_path, csv_data(path))


def test_a_list_where_a_csv_has_none(tmp_path: Path) -> None:
    spec = write_lines(tmp_path, csv_lines()) | {"columns": COLUMNS | {"query": "strings"}}
    assert "query" in refused(tmp_path, spec, SpecError)


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
