"""On real taxi trips the stock Evaluator's thresholds decide as our bounds do, and by the same numbers."""

from __future__ import annotations

import os
from pathlib import Path

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow_model_analysis as tfma
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.decision.report import Verdict
from components.evaluation.checks import judge
from components.evaluation.metrics import OVERALL, read_table
from components.evaluation.sums import SliceSums
from components.evaluation.uncertainty import Uncertainty
from components.model_analysis.viewers import CLASSES, as_lists, eval_config, read_metrics
from pipelines.spec import Evaluate
from tests.components.evaluation.test_sums import MODELS, batch

TRIPS = Path(os.environ.get("DAYBREAK_TEST_DATA", "nowhere")) / "taxi" / "taxi_trips.csv"
METRICS = ("auc", "binary_crossentropy", "calibration")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TRIPS.exists(), reason="DAYBREAK_TEST_DATA holds no taxi/taxi_trips.csv"),
]


@pytest.fixture(scope="module")
def trips() -> pa.RecordBatch:
    """Eval rows with the predictions of two models that know different columns."""
    columns = ["fare", "trip_miles", "trip_seconds", "trip_start_hour"]
    table = pd.read_csv(TRIPS).dropna(subset=["tips", "payment_type", *columns]).query("fare > 0").reset_index()
    label = (table.tips > 0.2 * table.fare).to_numpy()
    paid = (table.payment_type == "Credit Card").to_numpy()
    train = np.arange(len(table)) % 3 > 0
    scores = []
    for known in (np.c_[table[columns].to_numpy(), paid], table[columns].to_numpy()):
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(known[train], label[train])
        scores.append(model.predict_proba(known[~train])[:, 1])
    return batch(labels=label[~train], candidate=scores[0], champion=scores[1])


def thresholds(evaluate: Evaluate) -> tfma.EvalConfig:
    """The viewers' configuration with `evaluate.bounds` as the stock Evaluator is told them."""
    config = eval_config(evaluate, champion=True)
    bounds = {CLASSES[bound.metric]: bound for bound in evaluate.bounds}
    for metric in config.metrics_specs[0].metrics:
        if bound := bounds.get(metric.class_name):
            value = metric.threshold.value_threshold
            value.lower_bound.value = bound.min if bound.min is not None else -np.inf
            value.upper_bound.value = bound.max if bound.max is not None else np.inf
    return config


def test_thresholds_of_the_stock_evaluator_decide_alike(trips: pa.RecordBatch, tmp_path: Path) -> None:
    bounds = [
        {"metric": "auc", "min": 0.9},
        {"metric": "binary_crossentropy", "max": 0.01},
        {"metric": "calibration", "min": 0.9, "max": 1.1},
    ]
    # Without slices: the stock thresholds would decide in each of them.
    evaluate = Evaluate.model_validate({"metrics": METRICS, "bounds": bounds})
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        rows = pipeline | beam.Create([trips]) | beam.Map(as_lists)
        _ = rows | tfma.ExtractEvaluateAndWriteResults(eval_config=thresholds(evaluate), output_path=str(tmp_path))
    table = read_table(SliceSums(MODELS, [()]).partial(trips), slicings=[()], models=MODELS, metrics=METRICS)
    report = judge(evaluate, table, Uncertainty(), champion="champion version 3")

    found = tfma.load_validation_result(str(tmp_path))
    refused = {failure.metric_key.name for part in found.metric_validations_per_slice for failure in part.failures}
    assert refused == {check.name for check in report.checks if check.verdict is Verdict.REFUSED}
    assert refused == {"binary_crossentropy"}
    assert found.validation_ok == (report.verdict is Verdict.ACCEPTED)
    ours, theirs = table[OVERALL], [read_metrics(tmp_path, model)[OVERALL] for model in MODELS]
    for metric in METRICS:
        assert ours.candidate[metric] == pytest.approx(theirs[0][metric], abs=1e-4)
        assert ours.change[metric] == pytest.approx(theirs[0][metric] - theirs[1][metric], abs=2e-4)
    assert ours.change["auc"] > 0.01
