"""The data half of a retrain, raw day to examples, by the real executors in one process.

rows, examples = data_half("taxi", "2014-06-01", folder)
statistics = split_statistics(examples, "train", schema)
transformed = transform(records, "taxi")
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
from tfx_bsl.coders import example_coder
from tfx_bsl.public import tfxio

from components import artifacts
from components.contract.executor import ContractExecutor
from components.decision.report import GateReport
from components.examples.executor import ExamplesExecutor
from components.examples.records import encode, shards
from pipelines.assemble import BEAM_ARGS
from pipelines.spec import load_spec, pipeline_folder


@dataclass(frozen=True)
class DataHalf:
    report: GateReport
    rows: pa.Table
    quarantined: int
    examples: standard_artifacts.Examples


def schema_of(name: str) -> schema_pb2.Schema:
    return tfdv.load_schema_text(str(pipeline_folder(name) / "schema.pbtxt"))


def data_half(name: str, day: str, folder: Path, *, rows_limit: int = 0) -> DataHalf:
    """Contract and examples of a day of the pipeline `name`."""
    data = load_spec(name).data.model_dump_json()
    raw, quarantine, examples = artifacts.RawDay(), artifacts.Quarantine(), standard_artifacts.Examples()
    outputs: dict[str, list[Any]] = {
        "rows": [raw],
        "quarantine": [quarantine],
        "report": [artifacts.GateReport()],
        "docs": [artifacts.DataDocs()],
    }
    for title, (artifact,) in (outputs | {"examples": [examples]}).items():
        artifact.uri = str(folder / title)
        Path(artifact.uri).mkdir(parents=True)
    ContractExecutor().Do(
        {}, outputs, {"pipeline": name, "data": data, "day": day, "rows_limit": rows_limit, "force": 0}
    )
    context = BaseBeamExecutor.Context(beam_pipeline_args=BEAM_ARGS)
    ExamplesExecutor(context).Do({"rows": [raw]}, {"examples": [examples]}, {"data": data})
    rows = pa.concat_tables([pq.read_table(path) for path in sorted((folder / "rows").glob("*.parquet"))])
    return DataHalf(GateReport.read(folder / "report"), rows, quarantine.row_count, examples)


def records_of(examples: standard_artifacts.Examples, split: str) -> list[bytes]:
    files = [str(path) for path in shards(Path(examples.uri), split)]
    records: list[bytes] = list(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())
    return records


def split_statistics(
    examples: standard_artifacts.Examples, split: str, schema: schema_pb2.Schema
) -> statistics_pb2.DatasetFeatureStatisticsList:
    return statistics_of(records_of(examples, split), schema)


def statistics_of(records: Sequence[bytes], schema: schema_pb2.Schema) -> statistics_pb2.DatasetFeatureStatisticsList:
    """TFDV's statistics, as StatisticsGen computes them, on one batch."""
    batch = example_coder.ExamplesToRecordBatchDecoder().DecodeBatch(list(records))
    found: statistics_pb2.DatasetFeatureStatisticsList = stats_impl.generate_statistics_in_memory(
        batch, tfdv.StatsOptions(schema=schema)
    )
    return found


def encoded(table: pa.Table, name: str) -> list[bytes]:
    """tf.Examples of rows that have the columns of the pipeline's spec."""
    columns = {column: str(kind) for column, kind in load_spec(name).data.columns.items()}
    return encode(table.combine_chunks().to_batches()[0], columns)


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
