from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from components.contract import records
from pipelines.errors import DataError
from tests.components.contract.running import COLUMNS, DAY, data, rows, run, write_parquet


def example(row: dict[str, Any]) -> bytes:
    """A tf.Example; values of None have no feature."""
    features = {name: feature(value) for name, value in row.items() if value is not None}
    serialized: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    return serialized


def feature(value: Any) -> tf.train.Feature:
    values = value if isinstance(value, list) else [value]
    if values and isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    if values and isinstance(values[0], str):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode() for text in values]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value) for value in values]))


def row_dicts() -> list[dict[str, Any]]:
    made = rows()
    return [dict(zip(made, values, strict=True)) for values in zip(*made.values(), strict=True)]


def records_data(folder: Path, examples: list[bytes], *, name: str = "a.tfrecord", **changes: Any) -> dict[str, Any]:
    """Writes the day; returns its `Spec.data`."""
    path = folder / f"day={DAY}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), "GZIP" if name.endswith(".gz") else "") as writer:
        for serialized in examples:
            writer.write(serialized)
    return data(folder, source={"format": "tfrecord", "path": f"{folder}/day={{day}}/{name}"}, **changes)


@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
def test_the_same_rows_as_a_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(records, "_RECORDS", 30)
    write_parquet(tmp_path, rows())
    expected = run(tmp_path / "parquet", data(tmp_path))
    found = run(tmp_path / "records", records_data(tmp_path, [example(row) for row in row_dicts()], name=name))
    assert found.rows_file.read_bytes() == expected.rows_file.read_bytes()


def test_zeros_and_empty_texts_are_values(tmp_path: Path) -> None:
    made = [*row_dicts(), {"user": "", "item": 0, "price": 0.0, "new": False, "query": "", "clicked": 0}]
    result = run(tmp_path / "out", records_data(tmp_path, [example(row) for row in made]))
    assert result.rows.slice(100).to_pylist() == [made[100]]


def test_lists_and_missing_ones(tmp_path: Path) -> None:
    made = [row | {"recent": ["a", "b"] if number % 2 else None} for number, row in enumerate(row_dicts())]
    columns = COLUMNS | {"recent": "strings"}
    result = run(tmp_path / "out", records_data(tmp_path, [example(row) for row in made], columns=columns))
    assert result.rows["recent"].to_pylist() == [row["recent"] for row in made]


def test_several_values_where_one_is_declared(tmp_path: Path) -> None:
    made = row_dicts()
    made[30]["price"] = [1.5, 2.5]
    result = run(tmp_path / "out", records_data(tmp_path, [example(row) for row in made]))
    assert result.reasons == ["price: several values where one is declared"]
    assert result.quarantine[0]["_line"] == "record 31" and result.rows.num_rows == 99


def test_missing_and_repeated_records(tmp_path: Path) -> None:
    made = row_dicts()
    made[30]["user"] = None
    made[50] = made[3]
    result = run(tmp_path / "out", records_data(tmp_path, [example(row) for row in made]))
    assert result.reasons == ["user: missing", "the same as an earlier row"]
    assert [row["item"] for row in result.quarantine] == ["30", "3"]


def test_undeclared_features_tell_rows_apart(tmp_path: Path) -> None:
    made = [row_dicts()[0] | {"id": number} for number in range(100)]
    assert run(tmp_path / "out", records_data(tmp_path, [example(row) for row in made])).rows.num_rows == 100


@pytest.mark.parametrize(
    ("bad", "message"),
    [(b"no example", "Unable to parse example"), (example({"price": "cheap"}), 'wrong type.*"price"')],
)
def test_records_that_are_no_such_examples(tmp_path: Path, bad: bytes, message: str) -> None:
    spec = records_data(tmp_path, [*(example(row) for row in row_dicts()), bad])
    with pytest.raises(DataError, match=message):
        run(tmp_path / "out", spec)


@pytest.mark.parametrize("content", [slice(0, -5), slice(3, None), slice(0, 0)])
def test_a_damaged_file(tmp_path: Path, content: slice) -> None:
    spec = records_data(tmp_path, [example(row) for row in row_dicts()])
    path = tmp_path / f"day={DAY}" / "a.tfrecord"
    path.write_bytes(path.read_bytes()[content])
    with pytest.raises(DataError, match=r"a\.tfrecord"):
        run(tmp_path / "out", spec)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
