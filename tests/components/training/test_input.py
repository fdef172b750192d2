from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.training.input import pack
from components.training.rows import Rows, RowsWriter
from components.transform.blocks import lay_out, shards, write_shard
from pipelines.errors import DataError
from tests.components.training.conftest import LABEL, ROWS, Transformed

COLUMNS = lay_out({"a": ((1,), "float32"), "b": ((2, 2), "int64"), "c": ((3,), "float32")})


def test_packed_rows_come_back(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    floats = random.normal(size=(5, 4)).astype("float32")
    ints = random.integers(-(2**60), 2**60, size=(5, 4))
    with RowsWriter(tmp_path, COLUMNS) as writer:
        writer.append(floats[:2], ints[:2])
        writer.append(floats[2:], ints[2:])
    rows = Rows(tmp_path)
    order = np.array([4, 0, 3])
    found = rows.take(order)
    np.testing.assert_array_equal(rows.columns["a"].unpack(*found), floats[order, :1])
    np.testing.assert_array_equal(rows.columns["b"].unpack(*found), ints[order].reshape(3, 2, 2))
    np.testing.assert_array_equal(rows.columns["c"].unpack(*found), floats[order, 1:])
    np.testing.assert_array_equal(rows.take(slice(1, 3))[1], ints[1:3])


def test_rows_without_a_type_or_without_rows(tmp_path: Path) -> None:
    with RowsWriter(tmp_path, lay_out({"a": ((2,), "float32")})) as writer:
        writer.append(np.ones((3, 2), "float32"), np.ones((3, 0), "int64"))
    floats, ints = Rows(tmp_path).take(slice(0, 2))
    assert (floats.shape, ints.shape) == ((2, 2), (2, 0))
    with RowsWriter(tmp_path / "none", COLUMNS):
        pass
    assert len(Rows(tmp_path / "none")) == 0


def test_an_interrupted_pack_is_not_taken_for_whole(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), RowsWriter(tmp_path, COLUMNS):
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
    assert views.tolist() == [row["views"] + [0] * (9 - len(row["views"])) for row in transformed.raw]
    assert rows.columns[LABEL].shape == (1,)


def test_packing_again_keeps_what_is_there(transformed: Transformed, tmp_path: Path) -> None:
    first = pack(transformed.examples, tmp_path, split="eval")
    written = (tmp_path / "eval" / "float32").stat().st_mtime_ns
    assert pack(transformed.examples, tmp_path, split="eval") == first
    assert (tmp_path / "eval" / "float32").stat().st_mtime_ns == written
    assert pack(transformed.examples, tmp_path, split="train").source != first.source


def test_an_empty_split_is_a_data_error(tmp_path: Path) -> None:
    arrays = {"a": np.ones((0, 1)), "b": np.ones((0, 2, 2)), "c": np.ones((0, 3))}
    write_shard(arrays, COLUMNS, tmp_path / "Split-train", index=0, count=1)
    with pytest.raises(DataError, match="has no rows"):
        pack(tmp_path, tmp_path / "rows", split="train")


def test_shards_of_other_columns_are_refused(tmp_path: Path) -> None:
    for index, width in enumerate((2, 3)):
        columns = lay_out({"a": ((width,), "float32")})
        write_shard({"a": np.ones((4, width))}, columns, tmp_path / "Split-train", index=index, count=2)
    with pytest.raises(DataError, match="must have the columns") as caught:
        pack(tmp_path, tmp_path / "rows", split="train")
    assert caught.value.place == str(shards(tmp_path, "train")[1])
    assert not (tmp_path / "rows" / "train" / "layout.json").exists()
