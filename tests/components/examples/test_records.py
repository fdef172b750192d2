from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import tensorflow as tf

from components.examples.records import RowGroup, read, row_groups, serialize, shards, to_lists, write_shard
from pipelines.errors import DataError
from tests.components.examples.making import COLUMNS, table

KINDS = {"f": "float", "i": "int", "s": "string", "b": "bool", "l": "strings", "t": "strings", "h": "ints"}
DIFFERENT = pa.RecordBatch.from_pydict(
    {
        "f": pa.array([0.0, None, 1.5], pa.float64()),
        "i": pa.array([0, None, -1], pa.int32()),
        "s": ["", None, "x"],
        "b": [False, None, True],
        "l": [[], None, ["a", ""]],
        "t": [[""], ["x", ""], []],
        "h": pa.array([[0], [], None], pa.list_(pa.int32())),
    }
)
KINDS_OF_TEXT = {"s": "string"}
AS_LISTS = {
    "f": [[0.0], None, [1.5]],
    "i": [[0], None, [-1]],
    "s": [[b""], None, [b"x"]],
    "b": [[0], None, [1]],
    "l": [[], None, [b"a", b""]],
    "t": [[b""], [b"x", b""], []],
    "h": [[0], [], None],
}


def write(folder: Path, batch: pa.RecordBatch, *, index: int = 0, count: int = 1) -> Path:
    return write_shard(batch, folder / "Split-train", index=index, count=count)


def test_zero_empty_string_empty_list_and_null_are_four_things(tmp_path: Path) -> None:
    write(tmp_path, to_lists(DIFFERENT, KINDS))
    [found] = row_groups(tmp_path, "train")
    assert read(found).to_pydict() == AS_LISTS
    assert {str(kind) for kind in read(found).schema.types} <= {
        "large_list<item: int64>",
        "large_list<item: float>",
        "large_list<item: large_binary>",
        "large_list<element: int64>",
        "large_list<element: float>",
        "large_list<element: large_binary>",
    }


def test_only_null_is_missing_in_a_tf_example() -> None:
    zero, missing, _ = (
        tf.train.Example.FromString(record).features.feature for record in serialize(to_lists(DIFFERENT, KINDS))
    )
    assert list(zero["f"].float_list.value) == [0.0]
    assert list(zero["i"].int64_list.value) == [0]
    assert list(zero["b"].int64_list.value) == [0]
    assert list(zero["s"].bytes_list.value) == [b""]
    assert list(zero["t"].bytes_list.value) == [b""]
    assert zero["l"].WhichOneof("kind") == "bytes_list"
    assert list(missing["t"].bytes_list.value) == [b"x", b""]
    for name in "fisbl":
        assert missing[name].WhichOneof("kind") is None


def test_equal_batches_are_equal_files(tmp_path: Path) -> None:
    batch = to_lists(table(1000).to_batches()[0], COLUMNS)
    first = write(tmp_path / "first", batch).read_bytes()
    assert first == write(tmp_path / "second", batch).read_bytes()
    assert first != write(tmp_path / "third", batch.slice(0, 999)).read_bytes()


def _encoded(column: pa.Array, values: list[str]) -> pa.DictionaryArray:
    """`column` in a dictionary that has further `values`, and another order."""
    dictionary = pa.array(sorted({*column.drop_null().to_pylist(), *values}, reverse=True))
    return pa.DictionaryArray.from_arrays(pc.index_in(column, dictionary), dictionary)


def test_encoded_texts_are_written_as_plain_ones_are(tmp_path: Path) -> None:
    texts = pa.array([None if row % 9 == 0 else f"{row % 50}"[: row % 3] for row in range(1000)])
    plain = to_lists(pa.RecordBatch.from_arrays([texts], ["s"]), KINDS_OF_TEXT)
    encoded = to_lists(pa.RecordBatch.from_arrays([_encoded(texts, ["nobody's", "~"])], ["s"]), KINDS_OF_TEXT)
    assert pa.types.is_dictionary(encoded.schema.field("s").type.value_type)
    paths = write(tmp_path / "plain", plain), write(tmp_path / "encoded", encoded)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    [found] = row_groups(tmp_path / "encoded", "train")
    assert read(found).equals(plain) and read(found).schema.equals(plain.schema)
    seen = read(found, encoded=True).column(0).values.dictionary.to_pylist()
    assert set(seen) == {text.encode() for text in texts.drop_null().to_pylist()}


def test_encoded_texts_that_are_too_large_for_a_dictionary_arrive(tmp_path: Path) -> None:
    """Parquet goes on without a dictionary beyond one of 1 MiB."""
    texts = pa.array([None if row % 9 == 0 else f"{row % 1500:05d}" * 400 for row in range(4000)])
    encoded = to_lists(pa.RecordBatch.from_arrays([_encoded(texts, [])], ["s"]), KINDS_OF_TEXT)
    write(tmp_path, encoded)
    [found] = row_groups(tmp_path, "train")
    assert read(found).equals(to_lists(pa.RecordBatch.from_arrays([texts], ["s"]), KINDS_OF_TEXT))


def test_a_shard_written_again_is_replaced_and_nothing_is_left_over(tmp_path: Path) -> None:
    batch = to_lists(table(10).to_batches()[0], COLUMNS)
    write(tmp_path, batch)
    path = write(tmp_path, batch.slice(0, 4))
    assert [group.row_count for group in row_groups(tmp_path, "train")] == [4]
    assert list(path.parent.iterdir()) == [path] == shards(tmp_path, "train")


def test_a_failed_write_leaves_the_old_shard(tmp_path: Path) -> None:
    path = write(tmp_path, to_lists(table(10).to_batches()[0], COLUMNS))
    with pytest.raises(pa.ArrowException):
        write(tmp_path, pa.RecordBatch.from_pydict({"odd": pa.array([1], pa.month_day_nano_interval())[:0]}))
    assert list(path.parent.iterdir()) == [path]
    assert row_groups(tmp_path, "train") == [RowGroup(str(path), 0, 10)]


def test_row_groups_come_in_input_order_and_hold_at_most_65536_rows(tmp_path: Path) -> None:
    for index in (1, 0):
        rows = 70_000 if index else 3
        write(tmp_path, pa.RecordBatch.from_pydict({"i": pa.array([[index]] * rows)}), index=index, count=2)
    assert [(group.number, group.row_count) for group in row_groups(tmp_path, "train")] == [
        (0, 3),
        (0, 65_536),
        (1, 4_464),
    ]
    assert row_groups(tmp_path, "eval") == []


def test_named_columns_come_in_the_order_asked_for(tmp_path: Path) -> None:
    write(tmp_path, to_lists(DIFFERENT, KINDS))
    [found] = row_groups(tmp_path, "train")
    assert read(found, ["s", "f"]).to_pydict() == {name: AS_LISTS[name] for name in ("s", "f")}
    with pytest.raises(DataError, match="Received: gone, lost\n  Fix: declare them"):
        read(found, ["lost", "f", "gone"])


def test_what_is_read_is_no_slice_of_something_larger(tmp_path: Path) -> None:
    write(tmp_path, pa.RecordBatch.from_pydict({"i": pa.array([[number] for number in range(70_000)])}))
    second = read(row_groups(tmp_path, "train")[1])
    assert second.column(0).offset == 0
    assert second.get_total_buffer_size() < 2 * second.nbytes


def test_a_shard_without_rows_has_columns_and_no_row_group(tmp_path: Path) -> None:
    write(tmp_path, to_lists(DIFFERENT.slice(0, 0), KINDS))
    assert row_groups(tmp_path, "train") == []


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    """One byte of the first page."""
    return content[:60] + bytes([content[60] ^ 1]) + content[61:]


@pytest.mark.parametrize("damage", [_cut, lambda _: b"", lambda _: b"no Parquet at all"], ids=["cut", "empty", "other"])
def test_a_shard_that_is_no_parquet_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = write(tmp_path, to_lists(table(1000).to_batches()[0], COLUMNS))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=f"{path}: a shard of the examples cannot be read: .*\n  Fix: delete"):
        row_groups(tmp_path, "train")


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    path = write(tmp_path, to_lists(table(1000).to_batches()[0], COLUMNS))
    path.write_bytes(_flip(path.read_bytes()))
    [found] = row_groups(tmp_path, "train")
    with pytest.raises(DataError, match="cannot be read: .*CRC"):
        read(found)


def test_a_shard_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone.parquet: a shard of the examples cannot be read"):
        read(RowGroup(str(tmp_path / "gone.parquet"), 0, 1))
