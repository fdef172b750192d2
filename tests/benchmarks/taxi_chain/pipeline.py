"""The pipeline: CsvExampleGen to Pusher, as the stock example wires it.

    pipeline = create_pipeline(pipeline_root="/tmp/taxi", beam_args=IN_MEMORY, metadata=sqlite_config)

Module paths instead of `module_file`: TFX builds a wheel with pip for every file, ten seconds a node, and no side
of the comparison should pay that.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx.types.channel import Channel

from pipelines.assemble import BEAM_ARGS
from pipelines.settings import Settings

NAME = "taxi_chain"
MODULE = "tests.benchmarks.taxi_chain.model"

_RUNNER = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
MULTI_PROCESSING = [_RUNNER, "--direct_running_mode=multi_processing", "--direct_num_workers=0"]
"""What the stock example configures. Its runner is pinned: Beam's default would fetch a binary."""
IN_MEMORY = [_RUNNER, "--direct_running_mode=in_memory", "--direct_num_workers=1"]


def data_folder() -> Path:
    """Folder with `taxi_trips.csv`. Raises `FileNotFoundError` when the test data is not there."""
    folder = Path(os.environ.get("DAYBREAK_TEST_DATA", "")) / "taxi"
    if not os.environ.get("DAYBREAK_TEST_DATA") or not (folder / "taxi_trips.csv").exists():
        raise FileNotFoundError("taxi_trips.csv is missing: set DAYBREAK_TEST_DATA to the folder above taxi/")
    return folder


def create_pipeline(
    *,
    pipeline_root: str = "",
    push_folder: str | None = None,
    beam_args: Sequence[str] = tuple(BEAM_ARGS),
    metadata: Any = None,
    data: Path | None = None,
    train_steps: int | None = None,
) -> tfx.dsl.Pipeline:
    """Nine nodes; Beam as the retrain configures it unless told otherwise. `metadata` is an MLMD connection for TFX's own runners; ours brings its own."""
    return tfx.dsl.Pipeline(
        pipeline_name=NAME,
        pipeline_root=pipeline_root,
        components=_components(
            data=data or data_folder(),
            push_folder=push_folder or str(Settings.from_environment().state / "taxi_chain_pushed"),
            train_steps=train_steps or int(os.environ.get("DAYBREAK_BENCHMARK_STEPS", "1000")),
        ),
        enable_cache=True,
        metadata_connection_config=metadata,
        beam_pipeline_args=list(beam_args),
    )


def _components(*, data: Path, push_folder: str, train_steps: int) -> list[BaseNode]:
    examples = tfx.components.CsvExampleGen(input_base=str(data))
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    schema = tfx.components.SchemaGen(statistics=statistics.outputs["statistics"], infer_feature_shape=True)
    validator = tfx.components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    transform = tfx.components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn=f"{MODULE}.preprocessing_fn",
    )
    trainer = tfx.components.Trainer(
        run_fn=f"{MODULE}.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        train_args=tfx.proto.TrainArgs(num_steps=train_steps),
        eval_args=tfx.proto.EvalArgs(num_steps=150),
    )
    champion = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("latest_blessed_model_resolver")
    evaluator = tfx.components.Evaluator(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=champion.outputs["model"],
        eval_config=_eval_config(),
    )
    pusher = tfx.components.Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=push_folder)
        ),
    )
    return [examples, statistics, schema, validator, transform, trainer, champion, evaluator, pusher]


def _eval_config() -> tfma.EvalConfig:
    threshold = tfma.MetricThreshold(
        value_threshold=tfma.GenericValueThreshold(lower_bound={"value": 0.5}),
        change_threshold=tfma.GenericChangeThreshold(
            direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -0.5}
        ),
    )
    model = tfma.ModelSpec(
        model_type="tf_generic",
        signature_name="serving_default",
        label_key="big_tipper",
        preprocessing_function_names=["transform_features"],
    )
    metric = tfma.MetricConfig(class_name="BinaryAccuracy", threshold=threshold)
    return tfma.EvalConfig(
        model_specs=[model],
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[tfma.MetricsSpec(metrics=[metric])],
    )
