"""Scores both models, measures, judges, and writes for people, for the next node and for TFX."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.evaluator import constants
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, artifact_utils
from tfx.utils import path_utils

from components.aggregation import Aggregate
from components.concurrency import Concurrently
from components.decision.report import GateReport, Verdict
from components.evaluation.checks import judge
from components.evaluation.metrics import CANDIDATE, CHAMPION, OVERALL, Slice, read_table, thresholds_of
from components.evaluation.readable import write_readable
from components.evaluation.scored import SCORED, scored_paths, write_scored
from components.evaluation.scoring import Score, Scoring
from components.evaluation.sums import SliceSums, Sums
from components.evaluation.uncertainty import ByUser, Uncertainty
from components.examples.records import RowGroup, read, row_groups
from components.registry.champion.artifact import champion_name
from components.tracking import current
from pipelines.errors import one_line
from pipelines.spec import Evaluate

SPLIT = "eval"
READABLE = "readable"


class EvaluateExecutor(BaseBeamExecutor):  # type: ignore[misc]
    """Work of `components.evaluation.component.Evaluate`."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        evaluate = Evaluate.model_validate_json(exec_properties["evaluate"])
        groups = row_groups(Path(artifact_utils.get_single_uri(input_dict["examples"])), SPLIT)
        label, unit = str(exec_properties["label"]), str(exec_properties["unit"])
        scoring = _scoring(input_dict, evaluate, label=label, unit=unit)
        champion, unusable = champion_name(input_dict.get("champion_model") or []), ""
        if CHAMPION in scoring.models and (unusable := _why_unusable(scoring, groups)):
            scoring = replace(scoring, models={CANDIDATE: scoring.models[CANDIDATE]})
        folder = Path(artifact_utils.get_single_uri(output_dict["evaluation"]))
        table, uncertainty = self._measure(groups, scoring, evaluate, folder)
        report = judge(evaluate, table, uncertainty, champion=champion, unusable=unusable)
        _publish(report, output_dict, input_dict)
        _track(report, table)

    def _measure(
        self, groups: list[RowGroup], scoring: Scoring, evaluate: Evaluate, folder: Path
    ) -> tuple[dict[str, Slice], Uncertainty]:
        """Metrics by slice and how far they may be off; also written to `folder`, for the next node and for people."""
        models, slicings = list(scoring.models), list(dict.fromkeys([(), *evaluate.slices]))
        if not groups:
            table = {OVERALL: Slice()}
            write_readable(folder / READABLE, table, Uncertainty(), metrics=evaluate.metrics, models=models)
            return table, Uncertainty()

        def summed(pipeline: Any) -> Any:
            scored = pipeline | beam.Create(list(enumerate(groups))) | "Score" >> Concurrently(Score(scoring))
            _ = scored | "Keep" >> beam.MapTuple(partial(_keep, folder=folder / SCORED))
            return scored | "Sums" >> Aggregate(SliceSums(models, slicings, thresholds=thresholds_of(evaluate.metrics)))

        sums: list[Sums] = self._collected(summed, folder)
        table = read_table(sums, slicings=slicings, models=models, metrics=evaluate.metrics)
        by_user = ByUser(
            sums, slicings=slicings, models=models, metrics=evaluate.metrics, min_rows=evaluate.min_slice_rows
        )
        paths = list(enumerate(scored_paths(folder / SCORED)))
        errors = self._collected(lambda pipeline: pipeline | beam.Create(paths) | Aggregate(by_user), folder)
        uncertainty = Uncertainty(by_user, errors)
        write_readable(folder / READABLE, table, uncertainty, metrics=evaluate.metrics, models=models, overall=sums[0])
        return table, uncertainty

    def _collected(self, built: Callable[[Any], Any], folder: Path) -> Any:
        """The one element that a pipeline ends in."""
        path = folder / f".{uuid.uuid4().hex}"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with self._make_beam_pipeline() as pipeline:
                _ = built(pipeline) | "Collect" >> beam.Map(_write_pickled, path)
            return pickle.loads(path.read_bytes())  # noqa: S301  # our own, a moment ago
        finally:
            path.unlink(missing_ok=True)


def _write_pickled(found: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(found))


def _keep(index: int, batch: pa.RecordBatch, *, folder: Path) -> None:
    write_scored(batch, folder, index=index)


def _scoring(input_dict: dict[str, list[Artifact]], evaluate: Evaluate, *, label: str, unit: str) -> Scoring:
    models = {CANDIDATE: _saved_model(input_dict["model"][0])}
    if champion_name(input_dict.get("champion_model") or []):
        models[CHAMPION] = _saved_model(input_dict["champion_model"][0])
    schema_file = Path(artifact_utils.get_single_uri(input_dict["schema"])) / "schema.pbtxt"
    return Scoring(
        models=models,
        transform=Path(artifact_utils.get_single_uri(input_dict["transform_graph"])),
        schema=text_format.Parse(schema_file.read_text(), schema_pb2.Schema()),
        label=label,
        unit=unit,
        slice_columns=sorted({column for keys in evaluate.slices for column in keys}),
        outputs=evaluate.classes or 1,
    )


def _saved_model(artifact: Artifact) -> Path:
    return Path(path_utils.serving_model_path(artifact.uri))


def _why_unusable(scoring: Scoring, groups: Sequence[RowGroup]) -> str:
    """Why the champion cannot score today's rows (it may know columns that are gone), or ""."""
    score = Score(replace(scoring, models={CHAMPION: scoring.models[CHAMPION]}))
    try:
        score.setup()
        for group in groups[:1]:
            score.score(read(group).slice(0, 16))
    except Exception as error:  # noqa: BLE001 - whatever an old model raises, the candidate is judged
        return one_line(error)
    return ""


def _publish(report: GateReport, output_dict: dict[str, list[Artifact]], input_dict: dict[str, list[Artifact]]) -> None:
    [artifact], [blessing], [model] = output_dict["report"], output_dict["blessing"], input_dict["model"]
    report.write(Path(artifact.uri))
    artifact.verdict = report.verdict.value
    blessed = report.verdict is Verdict.ACCEPTED
    name = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
    Path(blessing.uri).mkdir(parents=True, exist_ok=True)
    (Path(blessing.uri) / name).touch()
    blessing.set_int_custom_property(
        constants.ARTIFACT_PROPERTY_BLESSED_KEY, constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE
    )
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    print(f"{report.verdict.value}: {report.reason}")


def _track(report: GateReport, table: dict[str, Slice]) -> None:
    overall = table[OVERALL]
    metrics = {"rows": float(overall.rows), "slices": float(len(table) - 1)}
    metrics |= {f"candidate/{name}": value for name, value in overall.candidate.items()}
    metrics |= {f"champion/{name}": value for name, value in overall.champion.items()}
    metrics |= {f"change/{name}": value for name, value in overall.change.items()}
    current().log_metrics(metrics)
