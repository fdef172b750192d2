"""The data half of a retrain, raw day to statistics, by the real executors in one process.

half = data_half("taxi", "2014-06-01", folder)
statistics = split_statistics(half, "train")
transformed = transform(encoded(half.rows, "taxi"), "taxi", folder)
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts
from tfx_bsl.public import tfxio

from components import artifacts
from components.contract.executor import ContractExecutor
from components.decision.report import GateReport
from components.examples.executor import ExamplesExecutor
from components.examples.records import read, row_groups, serialize, to_lists
from components.statistics.executor import STATISTICS_FILE, StatisticsExecutor
from pipelines.assemble import BEAM_ARGS
from pipelines.spec import load_spec, pipeline_folder


@dataclass(frozen=True)
class DataHalf:
    report: GateReport
    rows: pa.Table
    quarantined: int
    examples: standard_artifacts.Examples
    statistics: standard_artifacts.ExampleStatistics


def schema_of(name: str) -> schema_pb2.Schema:
    return tfdv.load_schema_text(str(pipeline_folder(name) / "schema.pbtxt"))


def data_half(name: str, day: str, folder: Path, *, rows_limit: int = 0) -> DataHalf:
    """Contract, examples and statistics of a day of the pipeline `name`."""
    data = load_spec(name).data.model_dump_json()
    raw, quarantine = artifacts.RawDay(), artifacts.Quarantine()
    examples, statistics = standard_artifacts.Examples(), standard_artifacts.ExampleStatistics()
    outputs: dict[str, list[Any]] = {
        "rows": [raw],
        "quarantine": [quarantine],
        "report": [artifacts.GateReport()],
        "docs": [artifacts.DataDocs()],
    }
    for title, (artifact,) in (outputs | {"examples": [examples], "statistics": [statistics]}).items():
        artifact.uri = str(folder / title)
        Path(artifact.uri).mkdir(parents=True)
    ContractExecutor().Do(
        {}, outputs, {"pipeline": name, "data": data, "day": day, "rows_limit": rows_limit, "force": 0}
    )
    context = BaseBeamExecutor.Context(beam_pipeline_args=BEAM_ARGS)
    ExamplesExecutor(context).Do({"rows": [raw]}, {"examples": [examples]}, {"data": data})
    StatisticsExecutor(context).Do({"examples": [examples]}, {"statistics": [statistics]}, {})
    rows = pa.concat_tables([pq.read_table(path) for path in sorted((folder / "rows").glob("*.parquet"))])
    return DataHalf(GateReport.read(folder / "report"), rows, quarantine.row_count, examples, statistics)


def examples_of(examples: standard_artifacts.Examples, split: str) -> pa.Table:
    """The columns of a split as lists."""
    return pa.Table.from_batches([read(found) for found in row_groups(Path(examples.uri), split)])


def split_statistics(half: DataHalf, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    return tfdv.load_stats_binary(str(Path(half.statistics.uri) / f"Split-{split}" / STATISTICS_FILE))


def statistics_of(table: pa.Table, name: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    """TFDV's statistics of rows that have the columns of the pipeline's spec, as the statistics node computes them."""
    found: statistics_pb2.DatasetFeatureStatisticsList = stats_impl.generate_statistics_in_memory(_lists(table, name))
    return found


def encoded(table: pa.Table, name: str) -> list[bytes]:
    """tf.Examples of rows that have the columns of the pipeline's spec."""
    return serialize(_lists(table, name))


def _lists(table: pa.Table, name: str) -> pa.RecordBatch:
    columns = {column: str(kind) for column, kind in load_spec(name).data.columns.items()}
    return to_lists(table.combine_chunks().to_batches()[0], columns)


def transform(
    records: Sequence[bytes], name: str, folder: Path
) -> tuple[tft.TFTransformOutput, Mapping[str, npt.NDArray[Any]]]:
    """Analyzes records with the pipeline's features; returns the transform graph and what it makes of them, in order."""
    schema = schema_of(name)
    source = tfxio.TFExampleBeamRecord(physical_format="inmem", telemetry_descriptors=["test"], schema=schema)
    features = importlib.import_module(f"pipelines.{name}.features")
    with beam.Pipeline(runner=FnApiRunner()) as pipeline, tft_beam.Context(temp_dir=str(folder / "temporary")):
        batches = pipeline | beam.Create(list(records), reshuffle=False) | source.BeamSource(batch_size=len(records))
        graph = (batches, source.TensorAdapterConfig()) | tft_beam.AnalyzeDataset(features.preprocessing_fn)
        _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
    metadata_io.write_metadata(
        dataset_metadata.DatasetMetadata(schema), str(folder / "graph" / tft.TFTransformOutput.RAW_METADATA_DIR)
    )
    output = tft.TFTransformOutput(str(folder / "graph"))
    return output, apply(output, records)


def apply(output: tft.TFTransformOutput, records: Sequence[bytes]) -> dict[str, npt.NDArray[Any]]:
    """The transform graph on records, as the served model applies it."""
    raw = tf.io.parse_example(list(records), output.raw_feature_spec())
    return {name: values.numpy() for name, values in output.transform_features_layer()(raw).items()}
