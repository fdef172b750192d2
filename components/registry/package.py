"""A registered model is whole: the SavedModel, the statistics it learned from, its schema, one example of a request.

write_package(folder, model=uri / "Format-Serving", schema=schema, ...)
model_key(uri / "Format-Serving")     # what the model is, whatever the run

MLmodel, input_example.json, saved_model/, statistics/, schema.pbtxt
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.serving.engine import COLUMNS

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from tensorflow_metadata.proto.v0 import schema_pb2

SAVED_MODEL, STATISTICS, SCHEMA, EXAMPLE = "saved_model", "statistics", "schema.pbtxt", "input_example.json"
_MLFLOW_TYPES = {"INT": "long", "FLOAT": "double", "BYTES": "string"}


def model_key(saved_model: Path) -> str:
    """Digest of weights and vocabularies, whatever their names: Keras numbers exported variables anew in each process.

    The graph's file is left out: its bytes differ between equal exports.
    """
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(saved_model / "variables" / "variables"))
    weights = []
    for name in reader.get_variable_to_shape_map():
        value = np.asarray(reader.get_tensor(name))
        if value.dtype.kind not in "OS":  # text is the description of the graph
            weights.append(hashlib.sha256(f"{value.dtype}{value.shape}".encode() + value.tobytes()).digest())
    digest = hashlib.sha256(b"".join(sorted(weights)))
    for path in sorted((saved_model / "assets").glob("*")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:32]


def write_package(
    folder: Path,
    *,
    saved_model: Path,
    statistics: Path,
    schema: schema_pb2.Schema,
    label: str,
    example: Mapping[str, Any],
    model_id: str,
    run_id: str | None,
) -> None:
    """Lays the parts out in the empty `folder` as MLflow's tensorflow flavour reads them."""
    import mlflow
    import tensorflow as tf
    from google.protobuf import text_format
    from mlflow.models import Model

    shutil.copytree(saved_model, folder / SAVED_MODEL)
    shutil.copytree(statistics, folder / STATISTICS)
    (folder / SCHEMA).write_text(text_format.MessageToString(schema))
    (folder / EXAMPLE).write_text(json.dumps(example, indent=1, sort_keys=True))
    model = Model(
        artifact_path="model",
        model_id=model_id,
        run_id=run_id,
        mlflow_version=mlflow.__version__,
        signature=signature_of(schema, columns=served_columns(saved_model), label=label),
        saved_input_example_info={"artifact_path": EXAMPLE, "type": "json_object"},
    )
    model.add_flavor(
        "tensorflow", model_type="tf2-module", saved_model_dir=SAVED_MODEL, version=tf.__version__, code=None
    )
    model.save(str(folder / "MLmodel"))


def served_columns(saved_model: Path) -> frozenset[str] | None:
    """Raw columns that a request must hold; None for a model that takes examples only."""
    from tensorflow.core.protobuf import saved_model_pb2

    parsed = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    signatures = parsed.meta_graphs[0].signature_def
    return frozenset(signatures[COLUMNS].inputs) if COLUMNS in signatures else None


def signature_of(schema: schema_pb2.Schema, *, columns: Collection[str] | None, label: str) -> ModelSignature:
    """Raw columns in, one probability out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec
    from mlflow.types.schema import Array
    from tensorflow_metadata.proto.v0 import schema_pb2

    taken: list[ColSpec | TensorSpec] = []
    for feature in schema.feature:
        if feature.name == label or (columns is not None and feature.name not in columns):
            continue
        kind = DataType[_MLFLOW_TYPES[schema_pb2.FeatureType.Name(feature.type)]]
        many = feature.HasField("value_count") and feature.value_count.max != 1
        required = feature.presence.min_fraction == 1
        taken.append(ColSpec(Array(kind) if many else kind, feature.name, required=required))
    return ModelSignature(inputs=Schema(taken), outputs=Schema([ColSpec(DataType.double, "predictions")]))


def first_example(
    examples: Path, *, schema: schema_pb2.Schema, columns: Collection[str] | None, label: str
) -> dict[str, Any]:
    """The raw columns of the first eval example, as a request would hold them."""
    from components.examples.records import read, row_groups

    groups = row_groups(examples, "eval")
    if not groups:
        return {}
    found = read(groups[0]).slice(0, 1).to_pydict()
    request: dict[str, Any] = {}
    for feature in schema.feature:
        values = found.get(feature.name, [None])[0]
        if feature.name != label and values is not None and (columns is None or feature.name in columns):
            plain = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
            many = feature.HasField("value_count") and feature.value_count.max != 1
            request[feature.name] = plain if many else plain[0]
    return request
