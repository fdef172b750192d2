"""Samples both splits, asks the exported model, and judges what it learned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform import TFTransformOutput
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact, artifact_utils
from tfx.utils import path_utils

from components.decision.report import GateReport
from components.evaluation.classes import per_label
from components.evaluation.metrics import CANDIDATE, OVERALL, read_table, thresholds_of
from components.evaluation.scored import UNIT, labels_of, predictions_of_models
from components.evaluation.scoring import Score, Scoring
from components.evaluation.sums import SliceSums
from components.examples.records import row_groups
from components.inference.units import interval, standard_errors, sum_by_unit
from components.learning.checks import Findings, judge
from components.learning.constant import losses_below_constant
from components.learning.sampling import Arrays, draw, read_part, read_transformed
from components.learning.strength import Strength
from components.tracking import current
from components.training.history import History
from components.transform.graph import Graph, Saved, input_config
from pipelines.spec import CLASS_METRICS, METRICS, Learning

TRAIN, EVAL = "train", "eval"

Floats = npt.NDArray[np.float64]


class LearningExecutor(BaseExecutor):  # type: ignore[misc]
    """Work of `components.learning.component.Learning`."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        learning = Learning.model_validate_json(exec_properties["learning"])
        folders = {name: Path(artifact_utils.get_single_uri(artifacts)) for name, artifacts in input_dict.items()}
        samples = _Samples(
            folders,
            learning,
            label=str(exec_properties["label"]),
            unit=str(exec_properties["unit"]),
            classes=exec_properties.get("classes"),
        )
        found = samples.findings(History.read(folders["model_run"]))
        report = judge(learning, found)
        artifact = artifact_utils.get_single_instance(output_dict["report"])
        report.write(Path(artifact.uri))
        artifact.verdict = report.verdict.value
        print(f"{report.verdict.value}: {report.reason}")
        _track(report, found)


class _Samples:
    def __init__(
        self, folders: Mapping[str, Path], learning: Learning, *, label: str, unit: str, classes: int | None
    ) -> None:
        self._folders, self._learning, self._label, self._classes = folders, learning, label, classes
        schema = text_format.Parse((folders["schema"] / "schema.pbtxt").read_text(), schema_pb2.Schema())
        self._parts = {
            split: list(draw(row_groups(folders["examples"], split), rows=learning.rows)) for split in (TRAIN, EVAL)
        }
        model = Path(path_utils.serving_model_path(str(folders["model"])))
        scoring = Scoring({CANDIDATE: model}, folders["transform_graph"], schema, label, unit, outputs=classes or 1)
        self._score = Score(scoring)
        self._score.setup()
        outputs = tuple(TFTransformOutput(str(folders["transform_graph"])).transformed_feature_spec())
        self._graph = Graph(Saved(folders["transform_graph"] / "transform_fn", outputs), input_config(schema))

    def findings(self, history: History) -> Findings:
        batches = {split: [read_part(part) for part in parts] for split, parts in self._parts.items()}
        scored = {split: _joined([self._score.score(batch) for batch in found]) for split, found in batches.items()}
        features = {split: self._features(split, found) for split, found in batches.items()}
        labels = {split: labels_of(found) for split, found in scored.items()}
        [predictions] = predictions_of_models(scored[EVAL], [CANDIDATE])
        loss, per_row = losses_below_constant(labels[TRAIN], labels[EVAL], predictions)
        gain = float(per_row.mean())
        influence = (per_row - gain) / len(per_row)
        error = float(standard_errors(sum_by_unit(scored[EVAL].column(UNIT).to_numpy(), influence[:, None]))[0])
        skew, no_skew = self._skew(features[EVAL])
        return Findings(
            history=history,
            train=self._metrics(scored[TRAIN]),
            evaluated=self._metrics(scored[EVAL]),
            loss=loss,
            gain=gain,
            gain_interval=interval(gain, error),
            strengths=_strengths(features, {split: self._outcomes(found) for split, found in labels.items()}),
            copies=_copies(features, labels),
            skew=skew,
            no_skew=no_skew,
        )

    def _features(self, split: str, batches: list[pa.RecordBatch]) -> Arrays:
        """As a request would get them."""
        found = [self._graph(batch, place=f"split {split}") for batch in batches]
        return {name: np.concatenate([part[name] for part in found]) for name in found[0] if name != self._label}

    def _metrics(self, scored: pa.RecordBatch) -> Mapping[str, float]:
        metrics = list(dict.fromkeys([*(CLASS_METRICS if self._classes else METRICS), *self._learning.max_gap]))
        sums = SliceSums([CANDIDATE], [()], thresholds=thresholds_of(metrics)).partial(scored)
        return read_table(sums, slicings=[()], models=[CANDIDATE], metrics=metrics)[OVERALL].candidate

    def _outcomes(self, labels: Floats) -> Floats:
        """`[rows]`, of classes `[rows, classes]`: one for each, 0 or 1."""
        return labels if self._classes is None else np.asarray(per_label(labels, self._classes)[1:].T)

    def _skew(self, served: Arrays) -> tuple[dict[str, float] | None, str]:
        parts = self._parts[EVAL]
        learned = [read_transformed(part, self._folders["transformed_examples"], EVAL) for part in parts]
        if any(part is None for part in learned):
            return None, "the transformed eval split does not hold the rows of the raw one: it is a sample"
        whole = {name: np.concatenate([part[name] for part in learned if part]) for name in served}
        return {name: _difference(values, whole[name]) for name, values in served.items()}, ""


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    [batch] = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return batch


def _strengths(features: Mapping[str, Arrays], labels: Mapping[str, Floats]) -> dict[str, float]:
    """Of a feature of several numbers the strongest of them."""
    found = {}
    for name, values in features[TRAIN].items():
        learned, held = (_matrix(part) for part in (values, features[EVAL][name]))
        alone = [
            Strength.of(one, labels[TRAIN])(other, labels[EVAL]) for one, other in zip(learned.T, held.T, strict=True)
        ]
        found[name] = max(alone, default=math.nan, key=lambda value: -1.0 if math.isnan(value) else value)
    return found


def _copies(features: Mapping[str, Arrays], labels: Mapping[str, Floats]) -> tuple[str, ...]:
    label = labels[EVAL]
    if len(np.unique(label)) < 2:
        return ()
    return tuple(
        name for name, values in features[EVAL].items() if (_matrix(values) == label[:, None]).all(axis=0).any()
    )


MAX_WIDTH = 64
"""Numbers of one feature that are looked at; an image has thousands."""


def _matrix(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.reshape(len(values), -1)[:, :MAX_WIDTH]


def _difference(served: npt.NDArray[Any], learned: npt.NDArray[Any]) -> float:
    """The largest, relative to the size of what was learned from or to 1; infinite where one is no number."""
    one, other = (np.asarray(values, np.float64).reshape(len(values), -1) for values in (served, learned))
    if one.shape != other.shape:
        return math.inf
    size = np.abs(one - other) / np.maximum(np.abs(other), 1)
    size[np.isnan(one) & np.isnan(other)] = 0
    return float(np.nan_to_num(size, nan=math.inf).max(initial=0.0))


def _track(report: GateReport, found: Findings) -> None:
    metrics = {f"train/{name}": value for name, value in found.train.items()}
    metrics |= {f"eval/{name}": value for name, value in found.evaluated.items()}
    metrics["gain_over_constant"] = found.gain
    tracker = current()
    tracker.log_metrics(metrics)
    tracker.log_table(
        [
            {"feature": name, "alone": None if math.isnan(value) else value}
            for name, value in sorted(found.strengths.items(), key=lambda item: (-np.nan_to_num(item[1]), item[0]))
        ],
        "features_alone.json",
    )
