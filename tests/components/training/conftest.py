"""A few thousand rows, transformed once by the transform node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.examples.records import to_lists
from components.training.input import pack
from components.training.job import Job
from pipelines.spec import Train
from tests.components.training import tiny_model
from tests.components.transform.running import run

MODEL = "tests.components.training.tiny_model"
LABEL = "clicked"
ROWS = {"train": 1500, "eval": 301}
COLUMNS = {"item": "strings", "price": "float", "brand": "strings", "views": "ints", "clicked": "int"}
SCHEMA = """
    feature { name: "item" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
    feature { name: "price" type: FLOAT presence { min_fraction: 1 } shape {} }
    feature { name: "brand" type: BYTES value_count { min: 0 max: 1 } }
    feature { name: "views" type: INT value_count { min: 0 max: 9 } }
    feature { name: "clicked" type: INT presence { min_fraction: 1 } shape {} }
"""


class Transformed(NamedTuple):
    examples: Path
    transform: Path
    schema: schema_pb2.Schema
    raw: list[dict[str, Any]]
    """Of the eval split."""
    rows: Path
    """Packed."""


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    views = tf.sparse.to_dense(_with_length(inputs["views"], 9))
    brand = tf.sparse.to_dense(_with_length(inputs["brand"], 1), default_value="none")[:, 0]
    return {
        "price": tft.scale_to_z_score(inputs["price"]),
        "item_id": tft.compute_and_apply_vocabulary(inputs["item"], vocab_filename="item", num_oov_buckets=1),
        "brand_id": tft.compute_and_apply_vocabulary(brand, vocab_filename="brand", num_oov_buckets=1),
        "views": views,
        "clicked": inputs["clicked"],
    }


def _with_length(column: tf.SparseTensor, length: int) -> tf.SparseTensor:
    return tf.SparseTensor(column.indices, column.values, [column.dense_shape[0], length])


def _raw_rows(count: int, *, seed: int) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    taste = np.random.default_rng(7).normal(size=20)
    rows: list[dict[str, Any]] = []
    for _ in range(count):
        item, price = int(random.integers(20)), float(np.float32(random.gamma(2)))
        rows.append(
            {
                "item": [f"item {item}".encode()],
                "price": price,
                "brand": [f"brand {item % 3}".encode()] if item % 5 else [],
                "views": random.integers(0, 50, size=random.integers(0, 5)).tolist(),
                "clicked": int(random.random() < 1 / (1 + np.exp(-2 * taste[item] + price - 1))),
            }
        )
    return rows


@pytest.fixture(scope="session")
def transformed(tmp_path_factory: pytest.TempPathFactory) -> Transformed:
    folder = tmp_path_factory.mktemp("transformed")
    raw = {split: _raw_rows(count, seed=seed) for seed, (split, count) in enumerate(ROWS.items())}
    splits = {split: [_batch(rows[:200]), _batch(rows[200:])] for split, rows in raw.items()}
    made = run(folder, splits, SCHEMA, f"{__name__}.preprocessing_fn")
    examples = Path(made.examples.uri)
    for split in ROWS:
        pack(examples, folder / "rows", split=split)
    schema = text_format.Parse(SCHEMA, schema_pb2.Schema())
    return Transformed(examples, made.graph, schema, raw["eval"], folder / "rows")


def _batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return to_lists(pa.RecordBatch.from_pylist(rows), COLUMNS)


def job_in(folder: Path, transformed: Transformed, **train: Any) -> Job:
    """A job with its scratch in `folder`; `train` is as in a spec."""
    folder.mkdir(exist_ok=True)
    return Job(
        model=MODEL,
        transform=transformed.transform,
        rows=transformed.rows,
        folder=folder,
        label=LABEL,
        train=Train.model_validate({"batch_size": 128, "epochs": 2, "checkpoint_every_steps": 5, **train}),
    )


@pytest.fixture
def make_job(transformed: Transformed, tmp_path: Path) -> Callable[..., Job]:
    """`make_job("name", **train)` with its own scratch folder."""

    def make(name: str = "job", **train: Any) -> Job:
        return job_in(tmp_path / name, transformed, **train)

    return make


@pytest.fixture(autouse=True)
def _no_callbacks() -> Iterator[None]:
    yield
    tiny_model.wanted.clear()


def example(row: dict[str, Any]) -> bytes:
    """A raw row as a serialized tf.Example, the label left out."""

    def feature(value: Any) -> tf.train.Feature:
        values = value if isinstance(value, list) else [value]
        if values and isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if values and isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    features = {name: feature(value) for name, value in row.items() if name != LABEL and value != []}
    return bytes(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
