"""The streamed contract says what one over the whole day in memory says, on bad days of every kind."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contract import reading
from components.decision.report import Verdict
from pipelines.errors import UserCodeError
from pipelines.spec import Data
from tests.components.contract.running import COLUMNS, PIPELINE, Result, changed, data, rows, run, write_parquet
from tests.components.contract.whole_frame import WholeFrame, judge_whole_frame

EVERY_KIND = """
from great_expectations import expectations as gxe

def expectations():
    return [
        gxe.ExpectColumnValuesToBeBetween(column="price", min_value=0, max_value=1000),
        gxe.ExpectColumnValuesToBeBetween(column="item", min_value=5, strict_min=True),
        gxe.ExpectColumnValuesToBeInSet(column="clicked", value_set=[0, 1]),
        gxe.ExpectColumnValuesToNotBeInSet(column="user", value_set=["u3", "nobody"]),
        gxe.ExpectColumnValuesToBeInSet(column="new", value_set=[True, False]),
        gxe.ExpectColumnValuesToNotBeNull(column="item"),
        gxe.ExpectColumnValuesToMatchRegex(column="user", regex=r"^u[0-9]+$"),
        gxe.ExpectColumnValuesToNotMatchRegex(column="query", regex="9{3}"),
        gxe.ExpectColumnValuesToMatchRegexList(column="user", regex_list=["^u", "^v"], match_on="any"),
        gxe.ExpectColumnValueLengthsToBeBetween(column="query", max_value=14),
        gxe.ExpectColumnValuesToBeBetween(column="price", max_value=15, row_condition="new == True",
                                          condition_parser="pandas"),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="price", column_B="clicked"),
        gxe.ExpectColumnPairValuesToBeEqual(column_A="clicked", column_B="item", mostly=0.001),
        gxe.ExpectSelectColumnValuesToBeUniqueWithinRecord(column_list=["price", "item"]),
        gxe.ExpectColumnValuesToBeUnique(column="query"),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["user", "item"]),
        gxe.ExpectColumnValuesToBeBetween(column="price", max_value=13, mostly=0.5),
        gxe.ExpectColumnValuesToBeBetween(column="price", max_value=13, mostly=0.99),
        gxe.ExpectColumnValuesToMatchRegex(column="user", regex="7", severity="warning"),
        gxe.ExpectColumnValuesToBeNull(column="query", mostly=0.5),
        gxe.ExpectColumnValuesToBeOfType(column="user", type_="str"),
        gxe.ExpectColumnValuesToBeIncreasing(column="item", mostly=0.2),
        gxe.ExpectColumnMeanToBeBetween(column="price", min_value=1, max_value=12),
        gxe.ExpectColumnMinToBeBetween(column="price", min_value=0),
        gxe.ExpectColumnMaxToBeBetween(column="item", max_value=10),
        gxe.ExpectColumnSumToBeBetween(column="clicked", min_value=1),
        gxe.ExpectColumnStdevToBeBetween(column="price", min_value=1, max_value=5),
        gxe.ExpectColumnUniqueValueCountToBeBetween(column="user", min_value=5),
        gxe.ExpectColumnProportionOfUniqueValuesToBeBetween(column="item", min_value=0.5),
        gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(column="query", min_value=0.9),
        gxe.ExpectColumnMedianToBeBetween(column="price", min_value=1, max_value=100),
        gxe.ExpectColumnQuantileValuesToBeBetween(
            column="price", quantile_ranges={"quantiles": [0.1, 0.9], "value_ranges": [[0, 11], [0, 11]]}),
        gxe.ExpectColumnDistinctValuesToContainSet(column="user", value_set=["u1"]),
        gxe.ExpectColumnMeanToBeBetween(column="new", min_value=0.1, max_value=0.9),
        gxe.ExpectColumnMeanToBeBetween(column="price", max_value=1000, row_condition="clicked == 1",
                                        condition_parser="pandas"),
        gxe.ExpectTableRowCountToBeBetween(min_value=10),
        gxe.ExpectTableColumnsToMatchSet(column_set=["user", "item", "price", "new", "query", "clicked"]),
    ]
"""


def bad_day(count: int, *, seed: int) -> pa.Table:
    """Every fault there is, some rows with several of them."""
    random = np.random.default_rng(seed)
    made: dict[str, Any] = rows(count)
    price = np.array(made["price"])
    for value in (-1.0, 5000.0, np.nan, np.inf, 1e300, 0.5):
        price[random.choice(count, count // 50)] = value
    item = np.array(made["item"], float)
    item[random.choice(count, count // 50)] = 0.25
    item[random.choice(count, count // 50)] = np.nan
    text = np.array(made["query"], object)
    text[random.choice(count, count // 40)] = "red shoes 999999"
    text[random.choice(count, 2)] = "x" * (2**20 + 1)
    user = np.array(made["user"], object)
    user[random.choice(count, count // 30)] = "nobody"
    user[random.choice(count, count // 30)] = None
    clicked = np.array(made["clicked"], object)
    clicked[random.choice(count, count // 60)] = 2
    clicked[random.choice(count, count // 60)] = None
    columns = {"user": user, "item": item, "price": price, "new": made["new"], "query": text, "clicked": clicked}
    table = pa.table({name: pa.array(values, from_pandas=False) for name, values in columns.items()})
    order = np.arange(count)
    repeated = random.choice(count, count // 10)
    order[repeated] = random.choice(count, count // 10)
    return table.take(pa.array(order))


def compare(result: Result, expected: WholeFrame, table: pa.Table) -> None:
    assert result.rows.equals(expected.kept)
    assert result.reasons == expected.reasons
    numbers = [
        None if value is None else str(value) for value in table["item"].take(pa.array(expected.bad)).to_pylist()
    ]
    assert [row["item"] for row in result.quarantine] == numbers
    for name, (success, observed) in expected.observed.items():
        found = result.check(name)
        assert (found.reason == "") is success, name
        assert found.observed == (pytest.approx(observed, rel=1e-9) if isinstance(observed, float) else observed), name
    quarantined = len(expected.bad)
    assert result.check("quarantined share").observed == pytest.approx(quarantined / table.num_rows, abs=1e-6)
    assert result.check("duplicates").observed == expected.counts["the same as an earlier row"]
    shown = sorted(expected.counts.items(), key=lambda item: -item[1])[:5]
    assert ", ".join(f"{reason} ({count:,})" for reason, count in shown) in result.check("quarantined share").reason


@pytest.mark.parametrize(("batch_rows", "files", "seed"), [(65_536, 1, 1), (300, 1, 2), (7, 3, 3), (1_000, 4, 4)])
def test_the_verdict_of_the_whole_frame(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    expect: Callable[[str], None],
    batch_rows: int,
    files: int,
    seed: int,
) -> None:
    monkeypatch.setattr(reading, "BATCH_ROWS", batch_rows)
    expect(EVERY_KIND)
    table = bad_day(2_400, seed=seed)
    size = table.num_rows // files
    paths = [
        write_parquet(tmp_path, table.slice(number * size, size), name=f"{number}.parquet") for number in range(files)
    ]
    for path in paths:  # small row groups, so that there are many batches
        pq.write_table(pq.read_table(path), path, row_group_size=97)
    spec = data(tmp_path, max_quarantined=1)
    expectations = importlib.import_module(f"pipelines.{PIPELINE}.expectations").expectations()
    expected = judge_whole_frame(paths, Data.model_validate(spec), expectations)
    compare(run(tmp_path / "out", spec), expected, table)
    refused = [name for name, (success, _) in expected.observed.items() if not success]
    assert 10 < len(refused) < len(expected.observed) and len(set(expected.reasons)) > 20


def test_a_day_of_which_no_row_is_sound(tmp_path: Path) -> None:
    write_parquet(tmp_path, changed("price", dict.fromkeys(range(99)), count=99) | {"user": [None] * 99})
    with pytest.raises(Exception, match="null in every row"):
        run(tmp_path / "out", data(tmp_path))
    write_parquet(tmp_path, changed("price", {row: float("inf") for row in range(50)}, count=50) | {"user": ["u"] * 50})
    message = "is required, and is null in every row"
    with pytest.raises(Exception, match=message):
        run(tmp_path / "again", data(tmp_path))


def test_a_day_whose_every_row_breaks_an_expectation(tmp_path: Path) -> None:
    write_parquet(tmp_path, rows() | {"price": [-1.0] * 100})
    result = run(tmp_path / "out", data(tmp_path))
    assert result.rows.num_rows == 0 and len(result.quarantine) == 100
    assert result.report.verdict is Verdict.REFUSED and "rows" in result.refusals


def test_an_expectation_of_the_users_own_sees_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect: Callable[[str], None]
) -> None:
    monkeypatch.setattr(reading, "BATCH_ROWS", 10)
    expect(
        "from great_expectations import expectations as gxe\n"
        "class ExpectFewItems(gxe.ExpectColumnValuesToBeUnique):\n"
        "    pass\n"
        "def expectations():\n"
        "    return [ExpectFewItems(column='item')]\n"
    )
    path = write_parquet(tmp_path, changed("item", {5: 90, 50: 90}))
    pq.write_table(pq.read_table(path), path, row_group_size=10)
    assert [row["item"] for row in run(tmp_path / "out", data(tmp_path)).quarantine] == ["90", "90", "90"]


def test_an_expectation_that_fails_only_in_a_late_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect: Callable[[str], None]
) -> None:
    monkeypatch.setattr(reading, "BATCH_ROWS", 10)
    expect(
        "from great_expectations import expectations as gxe\n"
        "def expectations():\n"
        "    return [gxe.ExpectColumnValuesToBeBetween(column='query', min_value=0)]\n"
    )
    path = write_parquet(tmp_path, rows() | {"query": pa.array([None] * 90 + ["text"] * 10)})
    pq.write_table(pq.read_table(path), path, row_group_size=10)
    with pytest.raises(UserCodeError, match="query values to be between"):
        run(tmp_path / "out", data(tmp_path))
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file()]


def test_the_bytes_do_not_depend_on_the_row_groups_of_the_source(tmp_path: Path) -> None:
    table = bad_day(3_000, seed=9)
    found = []
    for size in (100, 3_000):
        path = write_parquet(tmp_path, table)
        pq.write_table(table, path, row_group_size=size)
        result = run(tmp_path / f"out{size}", data(tmp_path, max_quarantined=1))
        found.append((result.rows_file.read_bytes(), result.quarantine_file.read_bytes()))
    assert found[0] == found[1]


def test_a_window_that_begins_within_a_batch_and_a_limit_that_ends_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH_ROWS", 30)
    times = ["2026-01-04T12:00:00"] * 45 + ["2026-01-05T12:00:00"] * 55
    made = rows() | {"time": times}
    path = write_parquet(tmp_path, made)
    pq.write_table(pq.read_table(path), path, row_group_size=30)
    source = {"path": str(path), "time_column": "time"}
    spec = data(tmp_path, source=source, columns=COLUMNS | {"time": "string"})
    assert run(tmp_path / "all", spec).rows["item"].to_pylist() == list(range(45, 100))
    assert run(tmp_path / "few", spec, rows_limit=20).rows["item"].to_pylist() == list(range(45, 65))
