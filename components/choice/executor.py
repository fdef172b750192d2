"""Scores all models on the eval split, chooses, and hands on the chosen one."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact
from tfx.utils import path_utils

from components.baselines.learned import Learned, saved_model
from components.choice.measuring import Scored, measure_latency, model_bytes, score
from components.choice.rules import OWN, Choice, choose, judge
from components.choice.table import Cost, Row, to_rows, write_table
from components.evaluation.scoring import Scoring
from components.examples.records import RowGroup, row_groups
from components.tracking import current
from components.training.history import History
from pipelines.spec import Baselines

SPLIT = "eval"


class ChooseExecutor(BaseExecutor):  # type: ignore[misc]
    """Work of `components.choice.component.Choose`."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        sources = {name: Path(artifact_utils.get_single_uri(found)) for name, found in input_dict.items()}
        targets = {name: Path(artifact_utils.get_single_uri(found)) for name, found in output_dict.items()}
        baselines = Baselines.model_validate_json(exec_properties["baselines"])
        learned, models = Learned.read(sources["learned"]), _models(sources)
        groups = row_groups(sources["examples"], SPLIT)
        scoring = Scoring(
            models=models,
            transform=sources["transform_graph"],
            schema=text_format.Parse((sources["schema"] / "schema.pbtxt").read_text(), schema_pb2.Schema()),
            label=str(exec_properties["label"]),
            unit=str(exec_properties["unit"]),
        )
        scored = score(scoring, groups, metric=baselines.metric)
        choice = choose(scored.quality, baselines)
        report = judge(choice.model, scored.quality, baselines)
        report.write(targets["report"])
        output_dict["report"][0].verdict = report.verdict.value
        _copy(models[choice.model], output_dict["chosen"][0], choice)
        costs = _costs(models, groups, learned, History.read(sources["model_run"]))
        missing = {name: attempt.reason for name, attempt in learned.models.items() if attempt.reason}
        rows = to_rows(scored.quality, scored.auc, costs, choice=choice, missing=missing)
        write_table(targets["comparison"], rows, reason=choice.reason)
        _track(rows, scored, choice)


def _models(sources: Mapping[str, Path]) -> dict[str, Path]:
    names = Learned.read(sources["learned"]).models
    found = {str(name): path for name in names if (path := saved_model(sources["learned"], name)).exists()}
    return {**found, OWN: Path(path_utils.serving_model_path(str(sources["model"])))}


def _costs(
    models: Mapping[str, Path], groups: Sequence[RowGroup], learned: Learned, history: History
) -> dict[str, Cost]:
    seconds = {str(name): attempt.seconds for name, attempt in learned.models.items()}
    seconds[OWN] = round(history.elapsed_secs, 3)
    return {
        name: Cost(
            train_secs=seconds[name], model_bytes=model_bytes(path), latency_secs=measure_latency(path, groups[0])
        )
        for name, path in models.items()
    }


def _copy(model: Path, artifact: Artifact, choice: Choice) -> None:
    shutil.copytree(model, Path(path_utils.serving_model_path(artifact.uri)), dirs_exist_ok=True)
    artifact.set_string_custom_property("chosen", choice.model)
    artifact.set_string_custom_property("reason", choice.reason)


def _track(rows: Sequence[Row], scored: Scored, choice: Choice) -> None:
    """Numbers of each model as `<model>/<number>`; the table is published with the artifact."""
    numbers = {
        f"{row['model']}/{name}": float(value)
        for row in rows
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
    tracker = current()
    tracker.log_metrics({**numbers, "eval_rows": float(scored.quality.rows)})
    tracker.log_tags({"daybreak.model": choice.model, "daybreak.choice": choice.reason})
    print(f"{choice.model}: {choice.reason}")
