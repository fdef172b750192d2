"""Ten classes from raw rows to verdicts: transformed, trained, exported, checked, evaluated and served by the executors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, artifact_utils, standard_artifacts

import pipelines
from components.artifacts import GateReport as GateReportArtifact
from components.artifacts import ServingMeasures
from components.decision.report import GateReport, Verdict
from components.evaluation.executor import EvaluateExecutor
from components.evaluation.scored import LABEL, SCORED, predictions_of_models, read_scored, scored_paths
from components.examples.records import to_lists
from components.learning.executor import LearningExecutor
from components.serving_check.executor import ServingCheckExecutor
from components.training.executor import TrainExecutor
from pipelines.spec import Train
from tests.components.evaluation import digits
from tests.components.evaluation.conftest import BEAM_ARGS, _artifact
from tests.components.transform.running import run

MODULE = digits.__name__
EVALUATE: dict[str, Any] = {
    "classes": digits.CLASSES,
    "metrics": ["categorical_crossentropy", "accuracy", "macro_auc", "calibration@3"],
    "slices": [["darkness"]],
    "min_slice_rows": 50,
    "bounds": [{"metric": "accuracy", "min": 0.8}, {"metric": "accuracy", "min": 0.7, "per": ["darkness"]}],
    "fairness": [{"feature": "darkness", "metric": "accuracy", "max_gap": 0.3}],
    "against_champion": [{"metric": "categorical_crossentropy", "direction": "lower_is_better", "max_loss": 0.1}],
}


class Trained(NamedTuple):
    folder: Path
    inputs: dict[str, list[Artifact]]

    def properties(self, **given: Any) -> dict[str, Any]:
        return {"label": digits.LABEL, "unit": "writer"} | given


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("digits")
    rows = _rows()
    made = run(folder, {"train": [rows[:1200]], "eval": [rows[1200:]]}, digits.SCHEMA, f"{MODULE}.preprocessing_fn")
    (folder / "schema").mkdir(exist_ok=True)
    (folder / "schema" / "schema.pbtxt").write_text(digits.SCHEMA)
    made.examples.split_names = artifact_utils.encode_split_names(["train", "eval"])
    inputs: dict[str, list[Artifact]] = {
        "transform_graph": [_artifact(standard_artifacts.TransformGraph, made.graph)],
        "schema": [_artifact(standard_artifacts.Schema, folder / "schema")],
    }
    model = _artifact(standard_artifacts.Model, folder / "model")
    model_run = _artifact(standard_artifacts.ModelRun, folder / "model_run")
    with pytest.MonkeyPatch.context() as patch:
        _write_pipeline(folder, patch)
        train = Train(epochs=8, batch_size=64).model_dump_json()
        TrainExecutor().Do(
            inputs | {"examples": [made.examples]},
            {"model": [model], "model_run": [model_run]},
            {"pipeline": "digits", "train": train, "label": digits.LABEL},
        )
    inputs |= {
        "examples": [_artifact(standard_artifacts.Examples, folder / "examples")],
        "transformed_examples": [made.examples],
        "model": [model],
        "model_run": [model_run],
    }
    return Trained(folder, inputs)


def _rows() -> pa.RecordBatch:
    found = load_digits()
    dark = found.data.sum(axis=1) > np.median(found.data.sum(axis=1))
    columns = {
        "pixels": [row.tolist() for row in found.data.astype("f4")],
        "darkness": np.where(dark, "dark", "light").tolist(),
        "writer": (np.arange(len(dark)) // 10).tolist(),
        digits.LABEL: found.target.tolist(),
    }
    return to_lists(pa.RecordBatch.from_pydict(columns), digits.COLUMNS)


def _write_pipeline(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "pipelines" / "digits").mkdir(parents=True)
    (folder / "pipelines" / "digits" / "__init__.py").write_text("")
    (folder / "pipelines" / "digits" / "model.py").write_text(f"from {MODULE} import build_model  # noqa: F401\n")
    patch.setattr(pipelines, "__path__", [*pipelines.__path__, str(folder / "pipelines")])
    patch.setenv("DAYBREAK_STATE", str(folder / "state"))
    patch.setenv("DAYBREAK_PIPELINE", "digits")
    patch.setenv("DAYBREAK_RUN_ID", "digits-2026-01-05-00000000")
    patch.setenv("DAYBREAK_NODE", "train")


def evaluated(trained: Trained, folder: Path, spec: dict[str, Any]) -> GateReport:
    """Against itself: it loses nothing."""
    champion = _artifact(standard_artifacts.Model, trained.folder / "model")
    champion.set_string_custom_property("version", "3")
    outputs = {
        "evaluation": [_artifact(standard_artifacts.ModelEvaluation, folder / "evaluation")],
        "report": [_artifact(GateReportArtifact, folder / "report")],
        "blessing": [_artifact(standard_artifacts.ModelBlessing, folder / "blessing")],
    }
    context = BaseBeamExecutor.Context(beam_pipeline_args=BEAM_ARGS, tmp_dir=str(folder), unique_id="1")
    inputs = trained.inputs | {"champion_model": [champion]}
    EvaluateExecutor(context).Do(inputs, outputs, trained.properties(evaluate=json.dumps(spec)))
    return GateReport.read(folder / "report")


def test_the_evaluation_is_that_of_scikit_learn_and_is_readable(trained: Trained, tmp_path: Path) -> None:
    report = evaluated(trained, tmp_path, EVALUATE)
    assert report.verdict is Verdict.ACCEPTED, report.reason

    [path] = scored_paths(tmp_path / "evaluation" / SCORED)
    batch = read_scored(path)
    labels, [scores] = batch.column(LABEL).to_numpy(), predictions_of_models(batch, ["candidate"])
    scores /= scores.sum(axis=1, keepdims=True)
    readable = tmp_path / "evaluation" / "readable"
    table = json.loads((readable / "slices.json").read_text())
    overall = dict(zip(table["columns"], table["data"][0], strict=True))
    assert overall["rows"] == 597
    assert overall["accuracy"] == pytest.approx(accuracy_score(labels, scores.argmax(axis=1)))
    assert overall["accuracy"] > 0.85 and overall["accuracy ±"] > 0
    assert overall["categorical_crossentropy"] == pytest.approx(log_loss(labels, scores), rel=1e-4)
    assert overall["macro_auc"] == pytest.approx(roc_auc_score(labels, scores, multi_class="ovr"), abs=1e-4)

    classes = json.loads((readable / "classes.json").read_text())
    three = dict(zip(classes["columns"], classes["data"][3], strict=True))
    assert (len(classes["data"]), three["class"]) == (10, 3)
    assert three["candidate calibration"] == pytest.approx(overall["calibration@3"])
    assert three["candidate auc against the rest"] == pytest.approx(roc_auc_score(labels == 3, scores[:, 3]), abs=1e-4)
    names = {"slices.html", "classes.html", "slices.png", "changes.png", "calibration.png"}
    assert all((readable / name).stat().st_size > 500 for name in names)
    assert not (readable / "roc.png").exists()


def test_another_number_of_classes_than_the_model_has_is_said(trained: Trained, tmp_path: Path) -> None:
    spec = {"classes": 7, "metrics": ["accuracy"]}
    with pytest.raises(Exception, match="must have as many outputs") as raised:
        evaluated(trained, tmp_path, spec)
    assert "candidate has 10" in str(raised.value)


def test_the_learning_gate_knows_classes(trained: Trained, tmp_path: Path) -> None:
    outputs = {"report": [_artifact(GateReportArtifact, tmp_path / "report")]}
    learning = json.dumps({"max_gap": {"accuracy": 0.2, "categorical_crossentropy": 0.5}})
    properties = trained.properties(learning=learning, classes=digits.CLASSES)
    LearningExecutor().Do(trained.inputs, outputs, properties)
    report = GateReport.read(tmp_path / "report")
    assert report.verdict is Verdict.ACCEPTED, report.reason
    checks = {check.name: check for check in report.checks}
    assert "the log loss is" in checks["learned"].reason
    assert 0.05 < float(checks["strongest feature alone"].observed or 0) < 0.5
    assert float(checks["accuracy gap"].observed or 0) > 0


def test_the_server_answers_all_classes_as_in_training(trained: Trained, tmp_path: Path) -> None:
    outputs = {
        "measures": [_artifact(ServingMeasures, tmp_path / "measures")],
        "report": [_artifact(GateReportArtifact, tmp_path / "report")],
    }
    context = BaseBeamExecutor.Context(tmp_dir=str(tmp_path), unique_id="1")
    serving = json.dumps({"load_secs": 0.6, "clients": 2, "max_p99_ms": 5000, "max_cold_start_secs": 600})
    ServingCheckExecutor(context).Do(trained.inputs, outputs, trained.properties(serving=serving))
    report = GateReport.read(tmp_path / "report")
    assert report.verdict is Verdict.ACCEPTED, report.reason
    golden = json.loads((tmp_path / "measures" / "golden.json").read_text())
    assert np.shape(golden["served"]) == (64, 10)
    np.testing.assert_allclose(golden["served"], golden["predictions"], atol=1e-6)
