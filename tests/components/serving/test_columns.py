from __future__ import annotations

import msgspec
import numpy as np
import pytest
import tensorflow as tf

from components.serving.columns import PADDING, AmbiguousError, Column, row_type, to_arrays
from components.training.export import MISSING

COLUMNS = (
    Column("trip miles", "float", (1,)),
    Column("city", "text", None),
    Column("grid", "int", (2, 2)),
)
ROW = '{"trip miles": 2, "city": ["Köln", {"b64": "/w=="}], "grid": [[1, 2], [3, 4]]}'


def read(*rows: str) -> list[msgspec.Struct]:
    found: list[msgspec.Struct] = msgspec.json.decode(f"[{','.join(rows)}]", type=list[row_type(COLUMNS)])  # type: ignore[misc]
    return found


def test_rows_become_what_the_signature_takes() -> None:
    miles, city, grid = to_arrays(COLUMNS, read(ROW, ROW.replace('["Köln", {"b64": "/w=="}]', "null"), ROW))
    np.testing.assert_array_equal(miles, np.full((3, 1), 2, np.float32))
    assert miles.dtype == np.float32 and grid.dtype == np.int64
    assert city.tolist() == [["Köln".encode(), b"\xff"], [b"", b""], ["Köln".encode(), b"\xff"]]
    assert grid[0].tolist() == [[1, 2], [3, 4]]


def test_a_single_value_needs_no_list() -> None:
    with_list, without = ROW.replace("2,", "[2],", 1), ROW.replace('["Köln", {"b64": "/w=="}]', '"Köln"')
    miles, city, _ = to_arrays(COLUMNS, read(with_list, without))
    assert miles.tolist() == [[2.0], [2.0]]
    assert city[1].tolist() == ["Köln".encode(), b""]


def test_rows_without_any_value_are_all_padding() -> None:
    _, city, _ = to_arrays(COLUMNS, read(ROW.replace('["Köln", {"b64": "/w=="}]', "[]")))
    assert city.tolist() == [[b""]]


def test_a_value_that_looks_like_padding_is_no_padding() -> None:
    with pytest.raises(AmbiguousError, match="city"):
        to_arrays(COLUMNS, read(ROW.replace('"Köln"', '""')))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"trip miles": 2, ', "", "missing required field `trip miles` - at `$[0]`"),
        ("2,", '"2",', "got `str` - at `$[0].trip miles`"),
        ("2,", "1e39,", "at `$[0].trip miles`"),
        ("2,", "[2, 3],", "length <= 1 - at `$[0].trip miles`"),
        ("2,", "null,", "got `null` - at `$[0].trip miles`"),
        ("[3, 4]", "[3]", "length >= 2 - at `$[0].grid[1]`"),
        ("4]", f"{2**63}]", "at `$[0].grid[1][1]`"),
        ('"city"', '"town"', "unknown field `town`"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        read(ROW.replace(old, new, 1))
    assert message in str(caught.value)


def test_padding_is_that_of_the_export() -> None:
    assert {tf.string: PADDING["text"], tf.int64: PADDING["int"]}.items() <= MISSING.items()
    assert np.isnan(MISSING[tf.float32]) and np.isnan(PADDING["float"])
