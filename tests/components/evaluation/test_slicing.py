from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from components.evaluation.slicing import MISSING, as_texts, slice_rows


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.large_binary(), [[b"a"], None, [], [b"", b"\xff"], [b"a"]], [[b"a"], [MISSING], [MISSING], [b"", b"\xff"], [b"a"]]),
        (pa.int64(), [[3], None, [-1, 3], []], [[b"3"], [MISSING], [b"-1", b"3"], [MISSING]]),
        (pa.float32(), [[0.5], [0.1], [float("nan")], None], [[b"0.5"], [b"0.10000000149011612"], [b"nan"], [MISSING]]),
        (pa.float32(), [None, [], None], [[MISSING]] * 3),
        (pa.int64(), [], []),
    ],
)  # fmt: skip
def test_values_to_slice_by_are_text_and_a_missing_one_is_a_value(
    kind: pa.DataType, values: Any, expected: Any
) -> None:
    column = pa.array(values, pa.large_list(kind))
    assert as_texts(column).to_pylist() == expected
    assert as_texts(column.slice(1)).to_pylist() == expected[1:]


def batch(**columns: Any) -> pa.RecordBatch:
    lists = {name: pa.array(values, pa.large_list(pa.large_binary())) for name, values in columns.items()}
    return pa.RecordBatch.from_pydict({name: as_texts(column) for name, column in lists.items()})


def members(found: pa.RecordBatch, columns: list[str]) -> dict[tuple[bytes, ...], list[int]]:
    keys, rows, slices = slice_rows(found, columns)
    assert keys == sorted(set(keys))
    return {key: rows[slices == number].tolist() for number, key in enumerate(keys)}


def test_all_rows_are_one_slice() -> None:
    assert members(batch(city=[[b"a"], None]), []) == {(): [0, 1]}


def test_a_row_with_several_values_is_once_in_the_slice_of_each() -> None:
    tags = [[b"x", b"y", b"x"], [b"y"], [], [b"x"]]
    assert members(batch(tag=tags), ["tag"]) == {(MISSING,): [2], (b"x",): [0, 3], (b"y",): [0, 1]}


def test_columns_are_crossed_and_empty_crossings_left_out() -> None:
    found = batch(tag=[[b"x", b"y"], [b"y"], None], city=[[b"b"], [b"a"], [b"a", b"b"]])
    assert members(found, ["tag", "city"]) == {
        (MISSING, b"a"): [2],
        (MISSING, b"b"): [2],
        (b"x", b"b"): [0],
        (b"y", b"a"): [1],
        (b"y", b"b"): [0],
    }


def test_a_value_that_reads_as_missing_is_the_missing_one() -> None:
    assert members(batch(city=[[MISSING], None, [b"a"]]), ["city"]) == {(MISSING,): [0, 1], (b"a",): [2]}
