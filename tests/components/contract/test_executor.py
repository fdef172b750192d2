"""Days that can be judged: what is kept, what goes to quarantine, and what the verdict is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.decision.report import Verdict
from pipelines.spec import load_spec
from tests.components.contract.running import COLUMNS, DAY, changed, csv_data, data, rows, run, write_csv, write_parquet


def test_a_sound_day_is_kept_whole_and_in_order(tmp_path: Path) -> None:
    write_parquet(tmp_path, rows())
    result = run(tmp_path / "out", data(tmp_path))
    assert result.report.verdict is Verdict.ACCEPTED
    assert result.rows.to_pydict() == rows()
    assert result.quarantine == []
    assert (result.outputs["rows"].row_count, result.outputs["quarantine"].row_count) == (100, 0)
    assert result.outputs["rows"].span == result.outputs["quarantine"].span == 20458


def test_csv_and_parquet_of_the_same_day_give_the_same_bytes(tmp_path: Path) -> None:
    write_parquet(tmp_path, rows())
    write_csv(tmp_path / f"{DAY}.csv", rows())
    first = run(tmp_path / "a", data(tmp_path))
    second = run(tmp_path / "b", csv_data(tmp_path / f"{DAY}.csv"))
    assert first.rows_file.read_bytes() == second.rows_file.read_bytes()


def test_a_second_run_gives_the_same_bytes(tmp_path: Path) -> None:
    write_parquet(tmp_path, changed("price", {3: -5.0, 4: None}))
    first, second = (run(tmp_path / name, data(tmp_path)) for name in ("a", "b"))
    assert first.rows_file.read_bytes() == second.rows_file.read_bytes()
    assert first.quarantine_file.read_bytes() == second.quarantine_file.read_bytes()
    assert first.report == second.report


def test_row_groups_are_bounded_and_nothing_temporary_stays(tmp_path: Path) -> None:
    write_parquet(tmp_path, rows(70_000))
    result = run(tmp_path / "out", data(tmp_path))
    metadata = pq.read_metadata(result.rows_file)
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [65_536, 4_464]
    assert metadata.row_group(0).column(0).compression == "ZSTD"
    names = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert names == [
        "day.html",
        "index.html",
        "quarantine.parquet",
        "report.json",
        "rows-00000-of-00001.parquet",
        "rows.html",
    ]


def test_a_row_with_several_faults_is_in_quarantine_once_with_all_reasons(tmp_path: Path) -> None:
    made = changed("price", {3: None})
    made["clicked"][3] = None
    write_parquet(tmp_path, made)
    result = run(tmp_path / "out", data(tmp_path))
    assert len(result.quarantine) == 1
    row = result.quarantine[0]
    assert row["item"] == "3" and row["price"] is None
    assert "price: missing" in str(row["_reasons"]) and "clicked: missing" in str(row["_reasons"])
    assert result.rows["item"].to_pylist() == [item for item in range(100) if item != 3]
    assert result.check("quarantined share").observed == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("clicked", None, "clicked: missing"),
        ("user", None, "user: missing"),
        ("price", -1.0, "price"),
        ("price", float("nan"), "price: missing"),
        ("price", float("inf"), "price: infinite or beyond float32"),
        ("price", 1e300, "price: infinite or beyond float32"),
        ("query", "x" * (2**20 + 1), "query: longer than"),
    ],
)
def test_one_bad_value_sends_its_row_to_quarantine(tmp_path: Path, column: str, value: Any, reason: str) -> None:
    write_parquet(tmp_path, changed(column, {7: value}))
    result = run(tmp_path / "out", data(tmp_path))
    assert [row["item"] for row in result.quarantine] == ["7"]
    assert result.reasons[0].startswith(reason)
    assert result.rows.num_rows == 99
    assert result.report.verdict is Verdict.ACCEPTED


def test_one_giant_value_does_not_make_the_quarantine_giant(tmp_path: Path) -> None:
    write_parquet(tmp_path, changed("query", {7: "x" * 5_000_000}))
    result = run(tmp_path / "out", data(tmp_path))
    assert len(str(result.quarantine[0]["query"])) < 20_000


def test_missing_values_of_optional_columns_are_no_fault(tmp_path: Path) -> None:
    write_parquet(tmp_path, changed("item", {0: None, 1: None}))
    assert run(tmp_path / "out", data(tmp_path)).rows.num_rows == 100


def test_repeated_rows_go_to_quarantine_and_the_first_stays(tmp_path: Path) -> None:
    made = rows()
    for column in made:
        made[column][50] = made[column][51] = made[column][3]
    write_parquet(tmp_path, made)
    result = run(tmp_path / "out", data(tmp_path))
    assert result.reasons == ["the same as an earlier row"] * 2
    assert result.rows["item"].to_pylist() == [item for item in range(100) if item not in (50, 51)]
    assert result.check("duplicates").observed == 2


def test_an_undeclared_column_tells_equal_rows_apart_and_is_dropped(tmp_path: Path) -> None:
    made = {name: [values[0]] * 100 for name, values in rows().items()} | {"id": list(range(100))}
    write_parquet(tmp_path, made)
    result = run(tmp_path / "out", data(tmp_path))
    assert result.rows.num_rows == 100 and result.rows.column_names == list(COLUMNS)
    assert result.check("columns not declared").observed == 1
    assert "id" in result.check("columns not declared").reason


def test_a_day_is_refused_above_the_bound_of_quarantined_rows_and_still_published(tmp_path: Path) -> None:
    write_parquet(tmp_path, changed("price", dict.fromkeys(range(20))))
    result = run(tmp_path / "out", data(tmp_path))
    assert result.report.verdict is Verdict.REFUSED
    assert result.refusals == ["quarantined share"]
    assert "20 of 100 rows" in result.report.reason and "price: missing" in result.report.reason
    assert result.report.next_command
    assert result.rows.num_rows == 80 and len(result.quarantine) == 20


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path, rows(9))
    result = run(tmp_path / "out", data(tmp_path))
    assert result.refusals == ["rows"] and result.check("rows").observed == 9


def test_rows_limit_keeps_the_first_rows_and_lifts_the_bound_of_rows(tmp_path: Path) -> None:
    write_parquet(tmp_path, changed("price", {2: None}))
    result = run(tmp_path / "out", data(tmp_path, max_quarantined=0.5), rows_limit=5)
    assert result.rows["item"].to_pylist() == [0, 1, 3, 4]
    assert len(result.quarantine) == 1
    assert result.report.verdict is Verdict.ACCEPTED


def test_an_empty_optional_column_refuses_the_day(tmp_path: Path) -> None:
    write_parquet(tmp_path, rows() | {"query": pa.nulls(100)})
    result = run(tmp_path / "out", data(tmp_path))
    assert result.refusals == ["query has values"]
    assert result.rows.schema.field("query").type == pa.large_string()


def test_an_expectation_on_the_day_refuses_it(tmp_path: Path) -> None:
    write_parquet(tmp_path, rows() | {"price": [500.0 + row for row in range(100)]})
    result = run(tmp_path / "out", data(tmp_path))
    assert result.report.verdict is Verdict.REFUSED
    assert len(result.refusals) == 1 and "mean" in result.refusals[0]
    assert "549.5" in result.report.reason
    assert result.rows.num_rows == 100


def test_the_day_is_judged_without_the_rows_in_quarantine(tmp_path: Path) -> None:
    write_parquet(tmp_path, changed("price", {0: -1e6}))
    result = run(tmp_path / "out", data(tmp_path))
    assert result.report.verdict is Verdict.ACCEPTED


def test_mostly_makes_a_row_level_expectation_one_about_the_day(tmp_path: Path, expect: Callable[[str], None]) -> None:
    expect(
        "from great_expectations import expectations as gxe\n"
        "def expectations():\n"
        "    return [gxe.ExpectColumnValuesToBeBetween(column='item', max_value=97, mostly=0.9),\n"
        "            gxe.ExpectColumnValuesToBeBetween(column='price', min_value=11, mostly=0.99)]\n"
    )
    write_parquet(tmp_path, rows())
    result = run(tmp_path / "out", data(tmp_path))
    assert result.quarantine == [] and result.rows.num_rows == 100
    assert len(result.refusals) == 1 and "price" in result.refusals[0]


def test_every_expectation_is_a_check_with_what_was_observed(tmp_path: Path) -> None:
    write_parquet(tmp_path, changed("price", {0: -1.0, 1: -2.0}))
    result = run(tmp_path / "out", data(tmp_path))
    between = next(check for check in result.report.checks if "between" in check.name and "mean" not in check.name)
    assert "2 rows" in str(between.observed)
    assert [row["item"] for row in result.quarantine] == ["0", "1"]
    assert result.reasons == [between.name] * 2


def test_a_pair_of_columns_can_be_expected(tmp_path: Path, expect: Callable[[str], None]) -> None:
    expect(
        "from great_expectations import expectations as gxe\n"
        "def expectations():\n"
        "    return [gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A='price', column_B='clicked')]\n"
    )
    write_parquet(tmp_path, changed("price", {5: 0.5, 6: 1.5}))
    assert [row["item"] for row in run(tmp_path / "out", data(tmp_path)).quarantine] == ["5"]


def test_no_expectations_is_a_contract_too(tmp_path: Path, expect: Callable[[str], None]) -> None:
    expect("def expectations():\n    return []\n")
    write_parquet(tmp_path, rows())
    result = run(tmp_path / "out", data(tmp_path))
    assert result.report.verdict is Verdict.ACCEPTED and (result.docs / "index.html").exists()


def test_a_window_reads_several_days_and_names_those_without_files(tmp_path: Path) -> None:
    made = rows(60)
    for start, day in ((0, "2026-01-03"), (30, "2026-01-05")):
        write_parquet(tmp_path, {name: values[start : start + 30] for name, values in made.items()}, day=day)
    write_parquet(tmp_path, rows(20), day="2026-01-02")
    result = run(tmp_path / "out", data(tmp_path, source={"window_days": 3}))
    assert result.rows.to_pydict() == made
    assert "2026-01-04" in result.check("days of the window without files").reason


def test_lists_keep_their_elements(tmp_path: Path) -> None:
    recent = [["a", "b"] if row % 2 else [] for row in range(100)]
    write_parquet(tmp_path, rows() | {"recent": recent, "scores": [[1.5]] * 100, "ids": [[row] for row in range(100)]})
    declared = COLUMNS | {"recent": "strings", "scores": "floats", "ids": "ints"}
    result = run(tmp_path / "out", data(tmp_path, columns=declared))
    assert result.rows["recent"].to_pylist() == recent
    assert result.rows["scores"][0].as_py() == [1.5] and result.rows["ids"][9].as_py() == [9]


def test_the_log_says_what_became_of_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(tmp_path, changed("price", {3: None, 4: None}))
    run(tmp_path / "out", data(tmp_path))
    printed = capsys.readouterr().out
    assert (
        "100 rows read" in printed
        and "2 to quarantine" in printed
        and "price: missing" in printed
        and "accepted" in printed
    )


def test_real_taxi_trips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = os.environ.get("DAYBREAK_TEST_DATA")
    if not folder:
        pytest.skip("DAYBREAK_TEST_DATA names no folder with taxi/taxi_trips.csv")
    monkeypatch.setenv("DAYBREAK_TAXI_CSV", f"{folder}/taxi/taxi_trips.csv")
    spec = load_spec("taxi").data.model_dump(mode="json")
    result = run(tmp_path / "out", spec, day="2016-06-30", pipeline="taxi")
    assert result.report.verdict is Verdict.ACCEPTED
    kept, bad = result.rows.num_rows, len(result.quarantine)
    assert 1_000 < kept < 15_002 and bad < 0.02 * (kept + bad)
    assert result.check("columns not declared").reason.endswith("pickup_census_tract")
