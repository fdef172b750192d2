"""The evaluation of real SavedModels, against numbers computed another way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import log_loss, roc_auc_score
from tfx.types import Artifact

from components.decision.report import GateReport, Verdict
from tests.components.evaluation.conftest import Day, Run

SPEC = {
    "metrics": ["auc", "binary_crossentropy", "calibration", "mean_label", "mean_squared_error"],
    "slices": [["city"], ["city", "hour"]],
    "bounds": [{"metric": "auc", "min": 0.6}],
    "against_champion": [{"metric": "binary_crossentropy", "direction": "lower_is_better", "max_loss": 0.01}],
}


def predictions(day: Day, name: str) -> np.ndarray:
    serve = tf.saved_model.load(str(day.models[name] / "Format-Serving")).signatures["serve_columns"]
    hours = [[np.iinfo(np.int64).min if hour is None else hour] for hour in day.rows["hour"]]
    columns = {
        "fare": tf.constant(day.rows["fare"])[:, None],
        "city": tf.constant(day.rows["city"])[:, None],
        "hour": tf.constant(hours, tf.int64),
        "user": tf.constant(day.rows["user"], tf.int64)[:, None],
    }
    expected = serve.structured_input_signature[1]
    reshaped = {
        name: tf.reshape(value, [-1, *expected[name].shape[1:]])
        if expected[name].shape[1:].is_fully_defined()
        else value
        for name, value in columns.items()
        if name in expected
    }
    return serve(**reshaped)["predictions"].numpy().reshape(-1)


def slices(outputs: dict[str, Artifact]) -> dict[str, dict[str, float]]:
    found = json.loads((Path(outputs["evaluation"].uri) / "readable" / "slices.json").read_text())
    return {row[0]: dict(zip(found["columns"][1:], row[1:], strict=True)) for row in found["data"]}


def report(outputs: dict[str, Artifact]) -> GateReport:
    return GateReport.read(Path(outputs["report"].uri))


def test_numbers_equal_those_of_another_library(day: Day, evaluate: Run) -> None:
    outputs = evaluate(json.dumps(SPEC), candidate="good", champion="poor")
    table = slices(outputs)

    for name, prefix in (("good", ""), ("poor", "champion ")):
        scores = predictions(day, name)
        found = {metric: table["overall"][prefix + metric] for metric in SPEC["metrics"]}
        assert found["auc"] == pytest.approx(roc_auc_score(day.labels, scores), abs=1e-5)
        assert found["binary_crossentropy"] == pytest.approx(log_loss(day.labels, scores), rel=1e-4)
        assert found["mean_squared_error"] == pytest.approx(np.mean((scores - day.labels) ** 2), rel=1e-4)
    assert table["overall"]["rows"] == 3000

    berlin = np.array(day.rows["city"]) == "Berlin"
    good = predictions(day, "good")
    assert table["city=Berlin"]["rows"] == berlin.sum()
    assert table["city=Berlin"]["auc"] == pytest.approx(roc_auc_score(day.labels[berlin], good[berlin]), abs=1e-5)
    two = berlin & (np.array([hour or 0 for hour in day.rows["hour"]]) == 2)
    assert table["city=Berlin, hour=2"]["rows"] == two.sum()
    missing = berlin & np.array([hour is None for hour in day.rows["hour"]])
    assert table["city=Berlin, hour=(missing)"]["rows"] == missing.sum()


def test_a_better_candidate_is_accepted_and_everything_is_readable(evaluate: Run) -> None:
    outputs = evaluate(json.dumps(SPEC), candidate="good", champion="poor")

    found = report(outputs)
    assert found.verdict is Verdict.ACCEPTED
    assert [check.name for check in found.checks] == ["auc", "binary_crossentropy change"]
    assert "champion version 3" in found.reason
    assert outputs["report"].verdict == "accepted"
    assert (Path(outputs["blessing"].uri) / "BLESSED").exists()
    assert outputs["blessing"].get_int_custom_property("blessed") == 1

    folder = Path(outputs["evaluation"].uri)
    table = slices(outputs)
    assert next(iter(table)) == "overall"
    assert table["overall"]["auc change"] == pytest.approx(table["overall"]["auc"] - table["overall"]["champion auc"])
    page = (folder / "readable" / "slices.html").read_text()
    assert "city=Köln" in page
    for name in ("slices.png", "calibration.png", "roc.png", "changes.png"):
        assert (folder / "readable" / name).stat().st_size > 5000


def test_a_worse_candidate_is_refused_with_the_reason(evaluate: Run) -> None:
    outputs = evaluate(json.dumps(SPEC), candidate="poor", champion="good")
    found = report(outputs)
    assert found.verdict is Verdict.REFUSED
    assert "breaks >= 0.6" in found.reason
    assert "loses more than 0.01" in found.reason
    assert "city=Berlin" in found.reason
    assert (Path(outputs["blessing"].uri) / "NOT_BLESSED").exists()


def test_the_first_model_needs_no_champion(evaluate: Run) -> None:
    found = report(evaluate(json.dumps(SPEC)))
    assert found.verdict is Verdict.ACCEPTED
    assert found.checks[1].reason == "there is no champion to be worse than"


def test_rows_of_one_class_are_not_evaluable(day: Day, evaluate: Run) -> None:
    only = np.flatnonzero(day.labels)[0]
    outputs = evaluate(json.dumps(SPEC), champion="poor", rows=slice(only, only + 1))
    found = report(outputs)
    assert found.verdict is Verdict.NOT_EVALUABLE
    assert "one class only" in found.reason


def test_an_empty_split_is_not_evaluable(evaluate: Run) -> None:
    outputs = evaluate(json.dumps(SPEC), champion="poor", rows=slice(0, 0))
    found = report(outputs)
    assert found.verdict is Verdict.NOT_EVALUABLE
    assert "empty" in found.reason
    assert (Path(outputs["blessing"].uri) / "NOT_BLESSED").exists()


def test_a_champion_that_cannot_score_today_stops_nobody_but_is_no_proof(evaluate: Run, tmp_path: Path) -> None:
    (tmp_path / "broken" / "Format-Serving").mkdir(parents=True)
    found = report(evaluate(json.dumps(SPEC), champion=tmp_path / "broken"))
    assert found.verdict is Verdict.NOT_EVALUABLE
    assert "cannot be compared with" in found.reason
    assert found.checks[0].verdict is Verdict.ACCEPTED


def test_nothing_configured_is_said(evaluate: Run) -> None:
    found = report(evaluate(json.dumps({"metrics": ["auc"]})))
    assert found.verdict is Verdict.NOT_EVALUABLE
    assert "nothing to decide by" in found.reason
