"""Draws a sample of the scored rows, lets TensorFlow Model Analysis measure it, and compares with our own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, artifact_utils

from components.evaluation.metrics import CANDIDATE, CHAMPION, thresholds_of
from components.evaluation.scored import SCORED, read_scored, row_count, scored_paths
from components.evaluation.sums import SliceSums
from components.model_analysis.agreement import disagreements
from components.model_analysis.viewers import Viewers, read_metrics, sample
from components.tracking import current
from pipelines.errors import DataError, bounded
from pipelines.spec import Evaluate


class ModelAnalysisExecutor(BaseBeamExecutor):  # type: ignore[misc]
    """Work of `components.model_analysis.component.ModelAnalysis`."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        evaluate = Evaluate.model_validate_json(exec_properties["evaluate"])
        batches = _drawn(Path(artifact_utils.get_single_uri(input_dict["evaluation"])) / SCORED, evaluate.tfma_rows)
        folder = Path(artifact_utils.get_single_uri(output_dict["analysis"]))
        folder.mkdir(parents=True, exist_ok=True)
        if not batches:
            print("the eval split has no rows: there is nothing to analyse")
            return
        models = [name for name in (CANDIDATE, CHAMPION) if name in batches[0].schema.names]
        with self._make_beam_pipeline() as pipeline:
            rows = pipeline | beam.Create(batches)
            _ = rows | Viewers(evaluate, with_champion=CHAMPION in models, folder=folder)
        _compare(batches, evaluate, models=models, folder=folder)


def _drawn(folder: Path, rows: int) -> list[pa.RecordBatch]:
    """About so many rows, evenly of all row groups."""
    paths = scored_paths(folder)
    share = min(1.0, rows / max(1, sum(map(row_count, paths))))
    drawn = (sample(index, read_scored(path), share=share) for index, path in enumerate(paths))
    return [batch for batch in drawn if batch.num_rows]


def _compare(batches: Sequence[pa.RecordBatch], evaluate: Evaluate, *, models: Sequence[str], folder: Path) -> None:
    """Raises `DataError` where both do not say the same."""
    slicings = list(dict.fromkeys([(), *evaluate.slices]))
    kernel = SliceSums(models, slicings, thresholds=thresholds_of(evaluate.metrics))
    found = disagreements(
        kernel.merge([kernel.partial(batch) for batch in batches]),
        {model: read_metrics(folder, model) for model in models},
        slicings=slicings,
        models=models,
        metrics=evaluate.metrics,
        min_rows=evaluate.min_slice_rows,
    )
    current().log_metrics({"rows": float(sum(batch.num_rows for batch in batches)), "disagreements": float(len(found))})
    if found:
        raise DataError(
            f"both must measure the same on the same rows. Received: {bounded(found, limit=3)}",
            fix="do not trust the verdict of `evaluate` before it is known which is wrong; `evaluate.tfma_rows: 0` leaves "
            "TensorFlow Model Analysis out",
        )
