"""The node over scored rows: a sample for the viewers, and a failure where both libraries disagree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tensorflow_model_analysis as tfma
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components.evaluation.metrics import CHAMPION
from components.evaluation.scored import SCORED, write_scored
from components.model_analysis import executor
from components.model_analysis.executor import ModelAnalysisExecutor
from components.model_analysis.viewers import read_metrics
from pipelines.errors import DataError
from pipelines.spec import Evaluate
from tests.components.evaluation.conftest import BEAM_ARGS
from tests.components.evaluation.test_classes import ALL as CLASS_METRICS
from tests.components.evaluation.test_classes import CLASSES, kinds
from tests.components.evaluation.test_sums import scored

SPEC = {"metrics": ["auc", "calibration", "precision@0.25"], "slices": [["city"]], "tfma_rows": 1000}


def analyse(folder: Path, batches: list[pa.RecordBatch], spec: dict[str, Any] = SPEC) -> Path:
    for index, batch in enumerate(batches):
        write_scored(batch, folder / "evaluation" / SCORED, index=index)
    given, made = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelEvaluation()
    given.uri, made.uri = str(folder / "evaluation"), str(folder / "analysis")
    context = BaseBeamExecutor.Context(beam_pipeline_args=BEAM_ARGS, tmp_dir=str(folder), unique_id="1")
    properties = {"evaluate": json.dumps(spec)}
    ModelAnalysisExecutor(context).Do({"evaluation": [given]}, {"analysis": [made]}, properties)
    return folder / "analysis"


def test_viewers_get_a_sample_of_all_row_groups(tmp_path: Path) -> None:
    found = analyse(tmp_path, [scored(6_000), scored(2_000, seed=4)])
    counts = {name: metrics["example_count"] for name, metrics in read_metrics(found, "candidate").items()}
    assert 800 < counts["overall"] < 1_200
    assert counts.keys() > {"overall", "city=Berlin"}
    assert tfma.load_eval_result(str(found), model_name=CHAMPION).slicing_metrics


def test_the_first_model_has_no_champion_beside_it(tmp_path: Path) -> None:
    found = analyse(tmp_path, [scored(500).drop_columns([CHAMPION])])
    assert read_metrics(found, "candidate")["overall"]["auc"] > 0.5


def test_no_rows_are_nothing_to_analyse(tmp_path: Path) -> None:
    assert list(analyse(tmp_path, []).iterdir()) == []


def test_a_disagreement_fails_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(folder: Path, model: str) -> dict[str, dict[str, float]]:
        found = read_metrics(folder, model)
        found["city=Rome"]["calibration"] *= 1.01 if model == CHAMPION else 1
        return found

    monkeypatch.setattr(executor, "read_metrics", shifted)
    with pytest.raises(
        DataError, match=r"Received: champion calibration of city=Rome is .* by TensorFlow Model Analysis"
    ):
        analyse(tmp_path, [scored(1_000)])


def test_of_several_classes_every_metric_has_its_second_opinion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, spec = kinds(1), {"classes": CLASSES, "metrics": CLASS_METRICS, "slices": [["city"]]}
    opinion = read_metrics(analyse(tmp_path / "agreed", [found], spec), CHAMPION)
    assert all(set(CLASS_METRICS) <= metrics.keys() for metrics in opinion.values()), opinion

    shifted = {name: metrics | {"macro_auc": metrics["macro_auc"] + 0.01} for name, metrics in opinion.items()}
    monkeypatch.setattr(executor, "read_metrics", lambda folder, model: shifted)
    with pytest.raises(DataError, match="Received: champion macro_auc of overall is"):
        executor._compare([found], Evaluate.model_validate(spec), models=[CHAMPION], folder=tmp_path)
