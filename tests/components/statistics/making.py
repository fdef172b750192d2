"""Examples of given columns, and their statistics by the real executor.

statistics = run(tmp_path, {"train": [batch, batch], "eval": [batch]})
found = features(statistics, "train")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components.examples.records import describe, write_shard
from components.statistics.executor import STATISTICS_FILE, StatisticsExecutor
from tests.components.examples.making import RUNNER

Dataset = statistics_pb2.DatasetFeatureStatistics


def examples_of(folder: Path, splits: Mapping[str, Sequence[pa.RecordBatch]]) -> standard_artifacts.Examples:
    """One shard per batch."""
    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "examples")
    for split, batches in splits.items():
        for index, batch in enumerate(batches):
            write_shard(batch, folder / "examples" / f"Split-{split}", index=index, count=len(batches))
    describe(examples, split_names=list(splits), span=20458)
    return examples


def statistics_of(
    examples: standard_artifacts.Examples, folder: Path, *, arguments: Sequence[str] = RUNNER
) -> standard_artifacts.ExampleStatistics:
    statistics = standard_artifacts.ExampleStatistics()
    statistics.uri = str(folder / "statistics")
    context = BaseBeamExecutor.Context(beam_pipeline_args=list(arguments))
    StatisticsExecutor(context).Do({"examples": [examples]}, {"statistics": [statistics]}, {})
    return statistics


def run(folder: Path, splits: Mapping[str, Sequence[pa.RecordBatch]]) -> standard_artifacts.ExampleStatistics:
    return statistics_of(examples_of(folder, splits), folder)


def dataset(statistics: Any, split: str) -> Dataset:
    [found] = tfdv.load_stats_binary(str(Path(statistics.uri) / f"Split-{split}" / STATISTICS_FILE)).datasets
    return found


def features(found: Dataset) -> dict[str, statistics_pb2.FeatureNameStatistics]:
    return {feature.path.step[0]: feature for feature in found.features}
