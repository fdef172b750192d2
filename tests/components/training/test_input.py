from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.training.input import pack
from components.training.rows import Rows, RowsWriter, lay_out
from pipelines.errors import DataError
from tests.components.training.conftest import LABEL, ROWS, Transformed

SHAPES = {"a": ((1,), "float32"), "b": ((2, 2), "int64"), "c": ((3,), "float32")}


def test_packed_rows_come_back(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    columns = {
        "a": random.normal(size=(5, 1)).astype("float32"),
        "b": random.integers(-(2**60), 2**60, size=(5, 2, 2)),
        "c": random.normal(size=(5, 3)).astype("float32"),
    }
    with RowsWriter(tmp_path, lay_out(SHAPES)) as writer:
        writer.append({name: array[:2] for name, array in columns.items()})
        writer.append({name: array[2:] for name, array in columns.items()})
    rows = Rows(tmp_path)
    floats, ints = rows.take(np.arange(5))
    found = {name: rows.columns[name].unpack(floats, ints).numpy() for name in columns}
    order = [columns["a"][:, 0].tolist().index(value) for value in found["a"][:, 0].tolist()]
    assert sorted(order) == [0, 1, 2, 3, 4]
    for name, array in columns.items():
        np.testing.assert_array_equal(found[name], array[order], err_msg=name)
    again = rows.take(np.array([4, 0]))
    np.testing.assert_array_equal(again[0], floats[[4, 0]])


def test_row_numbers_do_not_depend_on_the_order_of_writing(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(500, 1)).astype("float32")
    for name, order in {"one": np.arange(500), "two": np.random.default_rng(1).permutation(500)}.items():
        with RowsWriter(tmp_path / name, lay_out({"a": ((1,), "float32")})) as writer:
            writer.append({"a": values[order]})
    one, two = (Rows(tmp_path / name).take(slice(100, 200))[0] for name in ("one", "two"))
    np.testing.assert_array_equal(one, two)


def test_rows_without_a_type_or_without_rows(tmp_path: Path) -> None:
    with RowsWriter(tmp_path, lay_out({"a": ((2,), "float32")})) as writer:
        writer.append({"a": np.ones((3, 2), "float32")})
    floats, ints = Rows(tmp_path).take(slice(0, 2))
    assert (floats.shape, ints.shape) == ((2, 2), (2, 0))
    with RowsWriter(tmp_path / "none", lay_out(SHAPES)):
        pass
    assert len(Rows(tmp_path / "none")) == 0


def test_an_interrupted_pack_is_not_taken_for_whole(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), RowsWriter(tmp_path, lay_out(SHAPES)):
        raise KeyboardInterrupt
    with pytest.raises(DataError, match="no packed rows"):
        Rows(tmp_path)


def test_packs_what_transform_wrote(transformed: Transformed) -> None:
    for split, count in ROWS.items():
        rows = Rows(transformed.rows / split)
        assert len(rows) == count
        assert set(rows.columns) == {"price", "item_id", "brand_id", "views", LABEL}
    rows = Rows(transformed.rows / "eval")
    views = rows.columns["views"].unpack(*rows.take(slice(None))).numpy()
    expected = [row["views"] + [0] * (9 - len(row["views"])) for row in transformed.raw]
    assert sorted(map(tuple, views)) == sorted(map(tuple, expected))


def test_packing_again_keeps_what_is_there(transformed: Transformed, tmp_path: Path) -> None:
    shapes = {"price": ((1,), "float32"), LABEL: ((1,), "int64")}
    first = pack(transformed.examples, shapes, tmp_path, split="eval")
    written = (tmp_path / "eval" / "float32").stat().st_mtime_ns
    assert pack(transformed.examples, shapes, tmp_path, split="eval") == first
    assert (tmp_path / "eval" / "float32").stat().st_mtime_ns == written
    other = pack(transformed.examples, {LABEL: ((1,), "int64")}, tmp_path, split="eval")
    assert set(other.columns) == {LABEL}


def test_an_empty_split_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "Split-train").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "Split-train" / "examples-00000.gz"), "GZIP"):
        pass
    with pytest.raises(DataError, match="has no rows"):
        pack(tmp_path, SHAPES, tmp_path / "rows", split="train")
