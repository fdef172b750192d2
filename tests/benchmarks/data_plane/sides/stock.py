"""Stock TFX: ExampleGen on CSV and on Parquet, StatisticsGen, Transform without statistics, Evaluator.

Later stages read what the CSV ExampleGen wrote: the Parquet one turns every 0 into a missing value, labels too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow_model_analysis as tfma
from tfx import v1 as tfx
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.components.example_gen.custom_executors.parquet_executor import Executor as ParquetExecutor
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.proto import example_gen_pb2
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from tests.benchmarks.data_plane.columns import LABEL, SLICED, SPLITS
from tests.benchmarks.data_plane.log import csv_file, parquet_file
from tests.benchmarks.data_plane.nodes import prepare_node
from tests.benchmarks.data_plane.sides import Work
from tests.benchmarks.data_plane.sides.ours import beam_args, borrow, write_given


def prepare(stage: str, work: Work) -> Callable[[], None]:
    write_given(work.folder)
    borrow("train", work)
    # Threads would make stock Beam no faster: nearly all of its time is spent in Python.
    return prepare_node(_nodes(work)[stage], work.folder, beam_args(1))


def _nodes(work: Work) -> dict[str, BaseNode]:
    splits = [example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=count) for name, count in SPLITS.items()]
    output = example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=splits))
    csv = tfx.components.CsvExampleGen(input_base=str(csv_file(work.data).parent), output_config=output)
    parquet = FileBasedExampleGen(
        input_base=str(parquet_file(work.data).parent),
        output_config=output,
        custom_executor_spec=BeamExecutorSpec(ParquetExecutor),
    )
    examples, schema = csv.with_id("examples_csv").outputs["examples"], _made(standard_artifacts.Schema, "schema")
    statistics = tfx.components.StatisticsGen(examples=examples)
    transform = tfx.components.Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="tests.benchmarks.data_plane.pipelines.ads.features.preprocessing_fn",
        disable_statistics=True,
    )
    model = _made(standard_artifacts.Model, "train", key="model")
    evaluator = tfx.components.Evaluator(examples=examples, model=model, eval_config=_eval_config(), schema=schema)
    return {
        "examples_csv": csv,
        "examples_parquet": parquet.with_id("examples_parquet"),
        "statistics": statistics.with_id("statistics"),
        "transform": transform.with_id("transform"),
        "evaluate": evaluator.with_id("evaluate"),
    }


def _made(kind: Any, node: str, *, key: str = "") -> Channel:
    return Channel(type=kind, producer_component_id=node, output_key=key or node)


def _eval_config() -> tfma.EvalConfig:
    """The metrics and slices of our own pipeline."""
    model = tfma.ModelSpec(model_type="tf_generic", signature_name="serving_default", label_key=LABEL)
    names = ("ExampleCount", "AUC", "BinaryCrossEntropy", "Calibration", "CalibrationPlot")
    metrics = [tfma.MetricConfig(class_name=name) for name in names]
    return tfma.EvalConfig(
        model_specs=[model],
        slicing_specs=[tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=[SLICED])],
        metrics_specs=[tfma.MetricsSpec(metrics=metrics)],
    )
