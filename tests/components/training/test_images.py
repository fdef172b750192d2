"""Pictures from the raw day to a served model: a bright one is a 1."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image
from tensorflow_metadata.proto.v0 import schema_pb2

from components.examples.records import row_groups
from components.training.checkpoint import assign_variables, model_weights
from components.training.export import export_model
from components.training.input import pack
from components.training.interruption import Request
from components.training.job import Job
from components.training.loop import read_trained, train
from components.training.user_model import build_model
from components.transform import blocks
from components.transform.images import decode_images
from pipelines.spec import Data, Train
from tests.components.examples import making
from tests.components.training import brightness_model
from tests.components.transform.running import transform, write_schema

DATA = Data.model_validate(
    {
        "source": {"format": "parquet", "path": "{day}"},
        "columns": {"row": "int", "photo": "image", "bright": "int"},
        "label": "bright",
        "split_key": "row",
        "splits": {"train": 3, "eval": 1},
    }
)
SCHEMA = "".join(
    f'feature {{ name: "{name}" type: {kind} presence {{ min_fraction: 1 }} shape {{ dim {{ size: 1 }} }} }}\n'
    for name, kind in {"row": "INT", "photo": "BYTES", "bright": "INT"}.items()
)


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"photo": decode_images(inputs["photo"], height=8, width=8), "bright": inputs["bright"]}


def photo(random: np.random.Generator, *, bright: bool) -> bytes:
    size, level = random.integers(9, 40, size=2), 150 if bright else 60
    pixels = np.clip(random.normal(level, 30, (*size, 3)), 0, 255).astype(np.uint8)
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG" if random.random() < 0.5 else "JPEG")
    return target.getvalue()


def test_photos_become_blocks_a_model_and_predictions_of_bytes(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 400)
    photos = [photo(random, bright=bool(label)) for label in labels]
    day = pa.table({"row": np.arange(400), "photo": pa.array(photos, pa.large_binary()), "bright": labels})
    examples = making.run(tmp_path, day, data=DATA, row_group_size=200)
    kept = making.rows_of(examples, "train")
    numbers = [number for [number] in kept["row"].to_pylist()]
    assert kept["photo"].to_pylist() == [[photos[number]] for number in numbers]

    write_schema(tmp_path, SCHEMA)
    made = transform(tmp_path, ["train", "eval"], f"{__name__}.preprocessing_fn", tmp_path / "transformed")
    expected = decode_images(tf.constant([photos[number] for number in numbers]), height=8, width=8)
    np.testing.assert_allclose(made.rows("train")["photo"], expected, atol=1e-6)
    assert len(numbers) == sum(group.row_count for group in row_groups(Path(examples.uri), "train"))

    model = served(tmp_path, Path(made.examples.uri), made.graph)
    new = [photo(random, bright=bright) for bright in (True, False) * 10]
    by_column = model.signatures["serve_columns"](photo=tf.constant(new)[:, None])
    predicted = by_column["predictions"].numpy().reshape(-1) > 0.5
    assert predicted.tolist() == [True, False] * 10
    by_example = model.signatures["serving_default"](examples=tf.constant([example(content) for content in new]))
    np.testing.assert_allclose(by_example["predictions"], by_column["predictions"], atol=1e-6)


def served(folder: Path, transformed: Path, graph: Path) -> Any:
    for split in ("train", "eval"):
        pack(transformed, folder / "rows", split=split)
    settings = Train(batch_size=32, epochs=6)
    module = brightness_model.__name__
    job = Job(model=module, transform=graph, rows=folder / "rows", folder=folder, label="bright", train=settings)
    strategy = tf.distribute.get_strategy()
    train(job, strategy=strategy, request=Request())
    model = build_model(job, strategy)
    assign_variables(model_weights(model), read_trained(job).weights, strategy=strategy)
    schema = text_format.Parse(SCHEMA, schema_pb2.Schema())
    export_model(model, transform=graph, schema=schema, label="bright", path=folder / "served")
    return tf.saved_model.load(str(folder / "served"))


def example(content: bytes) -> bytes:
    features = {
        "photo": tf.train.Feature(bytes_list=tf.train.BytesList(value=[content])),
        "row": tf.train.Feature(int64_list=tf.train.Int64List(value=[0])),
    }
    return bytes(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def test_a_record_of_wide_rows_holds_few_of_them(tmp_path: Path) -> None:
    columns = blocks.lay_out({"photo": ((224, 224, 3), "float32"), "id": ((), "int64")})
    arrays = {"photo": np.random.default_rng(1).random((10, 224, 224, 3), np.float32), "id": np.arange(10)}
    path = blocks.write_shard(arrays, columns, tmp_path / "Split-train", index=0, count=1)
    found = list(blocks.read(path))
    assert [len(ints) for _, ints in found] == [6, 4]
    np.testing.assert_array_equal(np.concatenate([floats for floats, _ in found]), arrays["photo"].reshape(10, -1))
    assert [len(block["id"]) for block in blocks.dataset([path])] == [6, 4]
