"""The transform node on rows that a test makes.

made = run(tmp_path, {"train": [batch, batch], "eval": [batch]}, SCHEMA, "tests.….preprocessing_fn")
made.output.transformed_metadata, made.rows("train")["price"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow_transform as tft
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils, standard_artifacts

from components.examples import records
from components.transform.blocks import read, read_columns, shards
from components.transform.executor import TransformExecutor

RUNNER = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"]
ONE_WORKER = [*RUNNER, "--direct_running_mode=in_memory", "--direct_num_workers=1"]
FOUR_THREADS = [*ONE_WORKER, "--row_group_threads=4"]

Splits = Mapping[str, Sequence[pa.RecordBatch]]


@dataclass(frozen=True)
class Made:
    graph: Path
    examples: standard_artifacts.Examples

    @property
    def output(self) -> tft.TFTransformOutput:
        return tft.TFTransformOutput(str(self.graph))

    def rows(self, split: str) -> dict[str, npt.NDArray[Any]]:
        return rows(Path(self.examples.uri), split)


def rows(folder: Path, split: str) -> dict[str, npt.NDArray[Any]]:
    """All rows of a split, by column, in the order of the files."""
    files = shards(folder, split)
    blocks = [block for path in files for block in read(path)]
    floats, ints = (np.concatenate([block[kind] for block in blocks]) for kind in (0, 1))
    return {name: np.asarray(column.unpack(floats, ints)) for name, column in read_columns(files[0]).items()}


def run(
    folder: Path, splits: Splits, schema: str, preprocessing_fn: str, *, arguments: Sequence[str] = ONE_WORKER
) -> Made:
    """`splits`: record batches of large lists, one shard each."""
    write_examples(folder / "examples", splits)
    write_schema(folder, schema)
    return transform(folder, list(splits), preprocessing_fn, folder / "transformed", arguments=arguments)


def write_examples(folder: Path, splits: Splits) -> None:
    for split, batches in splits.items():
        for index, batch in enumerate(batches):
            records.write_shard(batch, folder / f"Split-{split}", index=index, count=len(batches))


def write_schema(folder: Path, schema: str) -> None:
    (folder / "schema").mkdir(exist_ok=True)
    (folder / "schema" / "schema.pbtxt").write_text(schema)


def transform(
    folder: Path, splits: Sequence[str], preprocessing_fn: str, target: Path, *, arguments: Sequence[str] = ONE_WORKER
) -> Made:
    """Runs the node on `folder/examples` and `folder/schema`, into `target`."""
    examples, schema = standard_artifacts.Examples(), standard_artifacts.Schema()
    graph, transformed = standard_artifacts.TransformGraph(), standard_artifacts.Examples()
    examples.uri, schema.uri = str(folder / "examples"), str(folder / "schema")
    graph.uri, transformed.uri = str(target / "graph"), str(target / "examples")
    records.describe(examples, split_names=list(splits), span=20458)
    TransformExecutor(BaseBeamExecutor.Context(beam_pipeline_args=list(arguments))).Do(
        {"examples": [examples], "schema": [schema]},
        {"transform_graph": [graph], "transformed_examples": [transformed]},
        {"preprocessing_fn": preprocessing_fn},
    )
    assert artifact_utils.decode_split_names(transformed.split_names) == list(splits)
    return Made(target / "graph", transformed)
