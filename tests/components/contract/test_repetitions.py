"""Rows seen before, against the whole frame."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pytest

from components.contract import repetitions
from components.contract.repetitions import Repetitions


def of_whole_frame(table: pa.Table) -> npt.NDArray[np.bool_]:
    frame = pl.DataFrame(pl.from_arrow(table)).with_row_index("row")
    firsts = frame.unique(subset=frame.columns[1:], keep="first", maintain_order=True)["row"]
    repeated = np.ones(table.num_rows, bool)
    repeated[firsts.to_numpy()] = False
    return repeated


def in_batches(table: pa.Table, sizes: list[int]) -> npt.NDArray[np.bool_]:
    found, start, seen = [], 0, Repetitions()
    for size in [*sizes, table.num_rows]:
        found.append(seen.find(table.slice(start, size)))
        start += size
    return np.concatenate(found)


@pytest.mark.parametrize("sizes", [[], [1] * 50, [7, 900, 3, 3000, 1, 1], [4000, 0, 5]])
def test_the_same_rows_as_in_the_whole_frame(sizes: list[int]) -> None:
    random = np.random.default_rng(1)
    table = pa.table(
        {
            "int": random.integers(0, 9, 9_000),
            "float": pa.array(random.choice([0.0, -0.0, 1.5, np.nan, np.inf], 9_000), mask=random.random(9_000) < 0.2),
            "text": pa.array(random.choice(["", "a", "b", "ab"], 9_000), mask=random.random(9_000) < 0.2),
            "flag": random.random(9_000) < 0.5,
        }
    )
    assert 0 < of_whole_frame(table).sum() < 9_000
    assert in_batches(table, sizes).tolist() == of_whole_frame(table).tolist()


@pytest.mark.parametrize(
    "values",
    [
        [[1, 2], [2, 1], [1, 2], None, [], [None], None],
        [{"a": 1}, {"a": 2}, {"a": 1}, None, {"a": None}, {"a": 3}, None],
        [decimal.Decimal("1.5"), decimal.Decimal("2"), decimal.Decimal("1.5"), None, decimal.Decimal(0), decimal.Decimal(3), None],
        [datetime.date(2026, 1, day) for day in (1, 2, 1)] + [None, datetime.date(1970, 1, 1), datetime.date(1, 1, 1), None],
        [b"a", b"\xff", b"a", None, b"", b"b", None],
    ],
)  # fmt: skip
def test_every_type_of_a_file(values: list[Any]) -> None:
    assert in_batches(pa.table({"column": values}), [1, 1]).tolist() == [False, False, True, False, False, False, True]


def test_values_that_change_places_are_other_rows() -> None:
    table = pa.table({"a": ["x", "y", None, "x"], "b": ["y", "x", "x", None]})
    assert not Repetitions().find(table).any()


def test_equal_first_hashes_are_no_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among billions of rows half of the hashes may be equal by chance."""
    rows = pa.table({"a": list(range(20))})
    monkeypatch.setattr(
        repetitions, "_hash_rows", lambda rows: (np.zeros(rows.num_rows, np.uint64), rows["a"].to_numpy().astype("u8"))
    )
    assert in_batches(rows, [5, 5]).sum() == 0
    assert in_batches(pa.concat_tables([rows, rows]), [5, 5, 15]).sum() == 20


def test_millions_of_rows_that_differ_little_are_no_repetitions() -> None:
    number = np.arange(1_000_000)
    seen = Repetitions()
    for start in range(0, 1_000_000, 250_000):
        part = number[start : start + 250_000]
        assert not seen.find(pa.table({"a": part % 1000, "b": part // 1000, "c": np.zeros(250_000)})).any()


def test_runs_stay_few() -> None:
    seen = Repetitions()
    for start in range(0, 10_000, 10):
        seen.find(pa.table({"a": list(range(start, start + 10))}))
    assert len(seen._seen.runs) <= 11 and sum(len(first) for first, _ in seen._seen.runs) == 10_000
