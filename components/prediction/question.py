"""What is asked of a model: which columns it reads, which the output keeps, and where that goes. Pickles to workers.

question = ask(spec.data, package, version="3", format="parquet", keep=("user_id",), output="s3://shop/scores")
question.data.columns        # raw columns that are read, with their types
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.prediction.model import columns_of
from components.registry.package import SAVED_MODEL, SCHEMA, model_key
from pipelines.errors import SpecError, bounded
from pipelines.spec import ColumnType, Data

PREDICTION, VERSION = "prediction", "model_version"
Format = Literal["parquet", "tfrecord", "csv", "jsonl"]
OutputFormat = Literal["parquet", "tfrecord"]
FORMATS: tuple[Format, ...] = ("parquet", "tfrecord", "csv", "jsonl")
OUTPUT_FORMATS: tuple[OutputFormat, ...] = ("parquet", "tfrecord")
_ENDS: dict[str, Format] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".tfrecord": "tfrecord",
    ".tfrecord.gz": "tfrecord",
}
_KINDS = {"INT": ColumnType.INT, "FLOAT": ColumnType.FLOAT, "BYTES": ColumnType.STRING}
_LISTS = {"INT": ColumnType.INTS, "FLOAT": ColumnType.FLOATS, "BYTES": ColumnType.STRINGS}


@dataclass(frozen=True)
class Question:
    data: Data
    """The columns to read: those of the model, and kept ones that the spec declares; `source.format` is the input's."""
    model: Path
    """SavedModel."""
    schema: bytes
    """Of the model's package, serialized."""
    model_columns: tuple[str, ...]
    version: str
    digest: str
    """Of weights and vocabularies."""
    keep: tuple[str, ...] | None
    """Input columns in the output; None: all."""
    output: str
    output_format: OutputFormat = "parquet"


def ask(
    data: Data,
    package: Path,
    *,
    version: str,
    format: Format,
    output: str,
    keep: Sequence[str] | None,
    output_format: OutputFormat = "parquet",
) -> Question:
    """Raises `SpecError` when a kept column has the name of one that is added."""
    model = package / SAVED_MODEL
    schema = text_format.Parse((package / SCHEMA).read_text(), schema_pb2.Schema())
    names = columns_of(model)
    types = {name: data.columns.get(name) or _kind(schema, name) for name in names}
    kept = data.columns if keep is None else {name: data.columns[name] for name in keep if name in data.columns}
    if keep is not None:
        _require_free(keep)
        types |= kept
    source = data.source.model_copy(update={"format": format})
    return Question(
        data=data.model_copy(update={"columns": types, "source": source}),
        model=model,
        schema=schema.SerializeToString(),
        model_columns=tuple(names),
        version=version,
        digest=model_key(model),
        keep=None if keep is None else tuple(keep),
        output=output,
        output_format=output_format,
    )


def _kind(schema: schema_pb2.Schema, name: str) -> ColumnType:
    """Of a column that the spec no longer declares, as the model's own schema has it."""
    [feature] = [one for one in schema.feature if one.name == name]
    many = feature.HasField("value_count") and feature.value_count.max != 1
    return (_LISTS if many else _KINDS)[schema_pb2.FeatureType.Name(feature.type)]


def _require_free(names: Sequence[str]) -> None:
    if taken := sorted({PREDICTION, VERSION} & set(names)):
        raise SpecError(
            f"the output has columns {PREDICTION} and {VERSION} of its own. Received: kept columns {bounded(taken)}",
            fix="leave them out of `--keep`",
        )


def format_of(pattern: str, asked: str, data: Data) -> Format:
    """The one asked for; by how the names end; else the spec's own."""
    if asked in FORMATS:
        return asked
    if asked:
        raise SpecError(f"`--format` must be one of {bounded(FORMATS)}. Received: {asked}", fix="name one of them")
    for end, found in _ENDS.items():
        if pattern.endswith(end):
            return found
    if data.source.format in FORMATS:
        return data.source.format
    raise SpecError(
        f"`--format` must say what the files are: {bounded(FORMATS)}. Received: {pattern}", fix="add --format parquet"
    )
