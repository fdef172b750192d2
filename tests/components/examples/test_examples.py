from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tfx.components.util import tfxio_utils
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components.artifacts import RawDay
from components.examples.executor import ExamplesExecutor
from components.examples.records import encode, shards
from components.examples.splitting import split_rows
from pipelines.errors import DataError
from pipelines.spec import Data

RUNNER = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", "--direct_running_mode=in_memory"]
COLUMNS = {"user": "string", "price": "float", "count": "int", "bought": "bool", "words": "strings", "history": "ints"}
DATA = Data.model_validate(
    {
        "source": {"format": "parquet", "path": "{day}"},
        "columns": COLUMNS,
        "label": "bought",
        "split_key": "user",
        "splits": {"train": 3, "eval": 1},
    }
)


def table(rows: int) -> pa.Table:
    return pa.table(
        {
            "user": [f"user{row % 97}" for row in range(rows)],
            "price": pa.array([None if row % 7 == 0 else float(row % 3) for row in range(rows)], pa.float64()),
            "count": pa.array([row % 2 for row in range(rows)], pa.int32()),
            "bought": [row % 5 == 0 for row in range(rows)],
            "words": [["", "a"][: row % 3] for row in range(rows)],
            "history": pa.array([None if row % 11 == 0 else [0, row] for row in range(rows)], pa.list_(pa.int64())),
            "extra": ["dropped"] * rows,
        }
    )


def run(
    folder: Path, rows: pa.Table, *, data: Data = DATA, arguments: list[str] | None = None
) -> standard_artifacts.Examples:
    raw, examples = RawDay(), standard_artifacts.Examples()
    raw.uri, examples.uri = str(folder / "raw"), str(folder / "examples")
    raw.span = 20458
    (folder / "raw").mkdir(parents=True)
    pq.write_table(rows, folder / "raw" / "rows-00000-of-00001.parquet", row_group_size=100)
    context = BaseBeamExecutor.Context(beam_pipeline_args=[*RUNNER, *(arguments or [])])
    ExamplesExecutor(context).Do({"rows": [raw]}, {"examples": [examples]}, {"data": data.model_dump_json()})
    return examples


def read(examples: Any, split: str) -> list[tf.train.Example]:
    files = [str(path) for path in shards(Path(examples.uri), split)]
    return [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(files, compression_type="GZIP")]


def test_every_row_is_in_one_split_and_users_stay_together(tmp_path: Path) -> None:
    examples = run(tmp_path, table(1000))
    users = {
        split: [e.features.feature["user"].bytes_list.value[0] for e in read(examples, split)]
        for split in ("train", "eval")
    }
    assert len(users["train"]) + len(users["eval"]) == 1000
    assert not set(users["train"]) & set(users["eval"])
    assert 0.1 < len(users["eval"]) / 1000 < 0.4
    assert (examples.span, len(shards(Path(examples.uri), "train"))) == (20458, 10)


def test_zeros_and_empty_strings_survive_and_null_is_missing() -> None:
    batch = pa.RecordBatch.from_pydict(
        {"f": [0.0, None], "i": [0, None], "s": ["", None], "b": [False, None], "l": [[], None], "t": [[""], ["x", ""]]}
    )
    kinds = {"f": "float", "i": "int", "s": "string", "b": "bool", "l": "strings", "t": "strings"}
    zero, missing = (tf.train.Example.FromString(record).features.feature for record in encode(batch, kinds))
    assert list(zero["f"].float_list.value) == [0.0]
    assert list(zero["i"].int64_list.value) == [0]
    assert list(zero["b"].int64_list.value) == [0]
    assert list(zero["s"].bytes_list.value) == [b""]
    assert list(zero["t"].bytes_list.value) == [b""]
    assert list(missing["t"].bytes_list.value) == [b"x", b""]
    for name in "fisbl":
        assert missing[name].WhichOneof("kind") is None


def test_shards_are_byte_identical_with_one_and_two_threads(tmp_path: Path) -> None:
    one = run(tmp_path / "one", table(500))
    two = run(
        tmp_path / "two", table(500), arguments=["--direct_running_mode=multi_threading", "--direct_num_workers=2"]
    )
    for split in ("train", "eval"):
        assert [e.SerializeToString(deterministic=True) for e in read(one, split)] == [
            e.SerializeToString(deterministic=True) for e in read(two, split)
        ]


def test_tfx_reads_the_artifact(tmp_path: Path) -> None:
    factory = tfxio_utils.get_tfxio_factory_from_artifact(
        [run(tmp_path, table(300))], telemetry_descriptors=["test"], schema=None, read_as_raw_records=False
    )
    assert factory is not None


def test_the_split_hash_never_changes() -> None:
    keys = pa.array([*(f"user{number}" for number in range(20)), None, ""])
    found = split_rows(keys, {"train": 4, "eval": 1})
    np.testing.assert_array_equal(found["eval"], [3, 7, 9, 10, 12, 16, 18])
    assert sorted([*found["train"], *found["eval"]]) == list(range(22))


def test_an_empty_split_says_what_to_change(tmp_path: Path) -> None:
    same = table(50).set_column(0, "user", pa.array(["one"] * 50))
    with pytest.raises(DataError, match="Fix: give the split more buckets"):
        run(tmp_path, same)
