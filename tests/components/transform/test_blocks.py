from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.transform.blocks import BLOCK_ROWS, dataset, lay_out, read, read_columns, shards, write_shard
from pipelines.errors import DataError

COLUMNS = lay_out(
    {"price": ((), "float32"), "ids": ((2, 2), "int64"), "pair": ((2,), "float32"), "count": ((), "int64")}
)
ROWS = 2 * BLOCK_ROWS + 5


def arrays(rows: int = ROWS) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {
        "price": random.normal(size=rows).astype("f4"),
        "ids": random.integers(-(2**62), 2**62, (rows, 2, 2)),
        "pair": random.normal(size=(rows, 2)).astype("f4"),
        "count": np.arange(rows),
    }


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write_shard(arrays(), COLUMNS, tmp_path / "Split-train", index=0, count=1)


def test_rows_come_back_in_order_and_in_blocks(shard: Path) -> None:
    blocks = list(read(shard))
    assert [len(floats) for floats, _ in blocks] == [BLOCK_ROWS, BLOCK_ROWS, 5]
    floats, ints = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    assert read_columns(shard) == COLUMNS
    for name, expected in arrays().items():
        np.testing.assert_array_equal(COLUMNS[name].unpack(floats, ints), expected, err_msg=name)


def test_a_graph_reads_the_same(tmp_path: Path, shard: Path) -> None:
    write_shard(arrays(7), COLUMNS, tmp_path / "Split-eval", index=0, count=1)
    blocks = list(dataset([shard, *shards(tmp_path, "eval")]).as_numpy_iterator())
    assert [len(block["count"]) for block in blocks] == [BLOCK_ROWS, BLOCK_ROWS, 5, 7]
    for name, expected in arrays().items():
        np.testing.assert_array_equal(np.concatenate([block[name] for block in blocks[:3]]), expected, err_msg=name)


def test_one_type_alone_and_no_rows(tmp_path: Path) -> None:
    columns = lay_out({"count": ((), "int64")})
    path = write_shard({"count": np.arange(3)}, columns, tmp_path, index=0, count=2)
    [(floats, ints)] = read(path)
    assert floats.shape == (3, 0) and ints.tolist() == [[0], [1], [2]]
    [block] = dataset([path]).as_numpy_iterator()
    assert block["count"].tolist() == [0, 1, 2]
    assert list(read(write_shard({"count": np.arange(0)}, columns, tmp_path, index=1, count=2))) == []


def test_equal_rows_are_equal_files(tmp_path: Path, shard: Path) -> None:
    again = write_shard(arrays(), COLUMNS, tmp_path / "again", index=0, count=1)
    assert again.read_bytes() == shard.read_bytes()


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write_shard({"price": np.zeros(3, "f4")}, COLUMNS, tmp_path, index=0, count=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [20, 700, 60_000])
def test_a_flipped_bit_is_a_data_error(shard: Path, place: int) -> None:
    content = bytearray(shard.read_bytes())
    content[place] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match="must be whole") as caught:
        list(read(shard))
    assert caught.value.place == str(shard)


def test_a_cut_is_a_data_error_between_records_too(shard: Path) -> None:
    content = shard.read_bytes()
    records = [len(record) for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator()]
    framed = np.cumsum([length + 16 for length in records])
    assert framed[-1] == len(content)
    for size in (0, int(framed[0]), int(framed[1]), int(framed[2]), int(framed[1]) + 9, len(content) - 1):
        shard.write_bytes(content[:size])
        with pytest.raises(DataError, match="must be whole"):
            list(read(shard))


def test_a_missing_shard_is_a_data_error(tmp_path: Path) -> None:
    for index in (0, 2):
        write_shard(arrays(3), COLUMNS, tmp_path / "Split-train", index=index, count=3)
    with pytest.raises(DataError, match="2 shards of 3"):
        shards(tmp_path, "train")
    assert shards(tmp_path, "eval") == []
