"""Verdicts on days of known quality: by slice, between slices, and against the champion."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.decision.report import Check, GateReport, Verdict
from components.evaluation.checks import judge
from components.inference.units import interval
from pipelines.spec import Evaluate
from tests.components.evaluation.crowds import crowd, measure


def judged(found: pa.RecordBatch, *, by_row: bool = False, **given: Any) -> GateReport:
    evaluate = Evaluate.model_validate(
        {"metrics": ["auc", "calibration"], "slices": [["city"]], "min_slice_rows": 100} | given
    )
    table, uncertainty = measure(found, metrics=evaluate.metrics, min_rows=evaluate.min_slice_rows, by_row=by_row)
    return judge(evaluate, table, uncertainty, champion="champion version 3")


def only(report: GateReport) -> Check:
    [check] = report.checks
    return check


def shifted(found: pa.RecordBatch, *, city: str, by: float) -> pa.RecordBatch:
    """The candidate's odds in one city (everywhere: "") multiplied."""
    scores = found.column("candidate").to_numpy().astype("f8")
    there = np.array([not city or value == [city.encode()] for value in found.column("city").to_pylist()])
    odds = scores / (1 - scores) * np.where(there, by, 1)
    place = found.schema.get_field_index("candidate")
    return found.set_column(place, "candidate", pa.array((odds / (1 + odds)).astype("f4")))


def noisier(found: pa.RecordBatch, *, city: str) -> pa.RecordBatch:
    """The candidate knows nothing of one city."""
    there = np.array([value == [city.encode()] for value in found.column("city").to_pylist()])
    scores = found.column("candidate").to_numpy().copy()
    scores[there] = np.random.default_rng(1).permutation(scores[there])
    return found.set_column(found.schema.get_field_index("candidate"), "candidate", pa.array(scores))


PER_CITY = {"bounds": [{"metric": "calibration", "min": 0.9, "max": 1.1, "per": ["city"]}]}


@pytest.mark.parametrize(("by", "bound"), [(6.0, {"max": 1.1}), (0.15, {"min": 0.9})])
def test_a_slice_that_is_off_by_more_than_noise_is_refused_by_name(by: float, bound: dict[str, float]) -> None:
    bounds = [{"metric": "calibration", "per": ["city"]} | bound]
    report = judged(shifted(crowd(1, users=2000), city="Rome", by=by), bounds=bounds)
    check = only(report)
    assert report.verdict is Verdict.REFUSED
    assert (check.name, check.slice) == ("calibration per city", "city=Rome")
    assert "city=Rome (" in report.reason
    assert "city=Berlin" not in report.reason
    assert check.interval is not None
    low, high = check.interval
    assert low < check.observed < high
    assert low > 1.1 if by > 1 else high < 0.9


def test_noise_alone_refuses_no_slice_and_is_said() -> None:
    found = crowd(2, users=150)
    bounds = [{"metric": "calibration", "min": 0.99, "max": 1.01, "per": ["city"]}]
    check = only(judged(found, bounds=bounds))
    assert check.verdict is Verdict.ACCEPTED
    assert "by no more than noise in city=" in check.reason


def test_of_many_slices_none_is_refused_by_chance() -> None:
    """The intervals of 20 cities must hold together, and users must not be taken for many."""
    refused = {False: 0, True: 0}
    cities = [f"c{number}" for number in range(20)]
    mean = float(np.minimum(0.2 * np.random.default_rng(0).gamma(3.0, 1 / 3, size=1_000_000), 1).mean())
    for seed in range(20):
        # What the candidate predicts is true of rows, and users differ: calibration is one, with the noise of users.
        random = np.random.default_rng(seed)
        found = crowd(seed, users=1600, cities=cities)
        units = np.unique(found.column("daybreak_unit").to_numpy(), return_inverse=True)[1]
        lucky = random.gamma(3.0, 1 / 3, size=units.max() + 1)[units]
        labels = (random.random(found.num_rows) < np.minimum(0.2 * lucky, 1)).astype("f4")
        found = found.set_column(0, found.schema.names[0], pa.array(labels))
        found = found.set_column(1, "candidate", pa.array(np.full(found.num_rows, mean, "f4")))
        for by_row in refused:
            bounds = [{"metric": "calibration", "min": 0.99, "max": 1.01, "per": ["city"]}]
            refused[by_row] += judged(found, by_row=by_row, bounds=bounds).verdict is Verdict.REFUSED
    assert refused[False] <= 3
    assert refused[True] >= 5


def test_small_slices_are_listed_never_passed_in_silence() -> None:
    found = crowd(3, cities=["Berlin"] * 100 + ["Oslo"])
    check = only(judged(found, **PER_CITY))
    assert check.verdict is Verdict.ACCEPTED
    assert re.search(r"1 slices below 100 rows are not judged: city=Oslo \(\d+ rows\)", check.reason)
    nothing = only(judged(found, min_slice_rows=100_000, **PER_CITY))
    assert nothing.verdict is Verdict.NOT_EVALUABLE
    assert "2 slices below 100000 rows are not judged" in nothing.reason
    assert "lower `min_slice_rows`" in nothing.reason


def test_an_unfair_gap_is_refused_and_a_fair_one_accepted() -> None:
    fairness = [{"feature": "city", "metric": "auc", "max_gap": 0.1}]
    fair = only(judged(crowd(4, users=2000), fairness=fairness))
    assert fair.verdict is Verdict.ACCEPTED
    unfair = only(judged(noisier(crowd(4, users=2000), city="Rome"), fairness=fairness))
    assert unfair.verdict is Verdict.REFUSED
    assert unfair.slice == "city=Berlin against city=Rome"
    assert unfair.interval is not None
    assert unfair.interval[0] > 0.1
    assert "breaks <= 0.1" in unfair.reason


def test_a_gap_that_may_be_noise_is_inconclusive() -> None:
    found = noisier(crowd(5, users=60), city="Rome")
    fairness = [{"feature": "city", "metric": "auc", "max_gap": 0.15}]
    check = only(judged(found, fairness=fairness, min_slice_rows=50))
    assert check.verdict is Verdict.INCONCLUSIVE
    alone = only(judged(crowd(6, cities=["Rome"]), fairness=fairness))
    assert alone.verdict is Verdict.NOT_EVALUABLE


def test_of_many_pairs_the_intervals_of_all_hold_together() -> None:
    """A gap that one pair alone would prove is not proved by the likeliest of fifteen."""
    cities = [f"c{number}" for number in range(6)]
    found = noisier(crowd(12, users=600, cities=cities), city="c0")
    table, uncertainty = measure(found, metrics=["auc"], min_rows=100)
    values = {name: one.candidate["auc"] for name, one in table.items() if one.columns}
    pairs = [(high, low) for high in values for low in values if values[high] > values[low]]
    alone = [interval(values[high] - values[low], uncertainty.gap_error(high, low, "auc"))[0] for high, low in pairs]
    assert len(pairs) == 15
    fairness = [{"feature": "city", "metric": "auc", "max_gap": max(alone) - 1e-3}]
    check = only(judged(found, metrics=["auc"], fairness=fairness))
    assert check.verdict is Verdict.INCONCLUSIVE
    high, low = str(check.slice).split(" against ")
    error = uncertainty.gap_error(high, low, "auc")
    assert check.interval == interval(values[high] - values[low], error, confidence=1 - 0.05 / 15)


@pytest.mark.parametrize(
    ("users", "city", "max_loss", "verdict"),
    [
        (2000, "", 0.1, Verdict.ACCEPTED),
        (2000, "Rome", 0.02, Verdict.REFUSED),
        (40, "", 0.001, Verdict.INCONCLUSIVE),
    ],
)
def test_the_change_against_the_champion_has_three_verdicts(
    users: int, city: str, max_loss: float, verdict: Verdict
) -> None:
    change = {"metric": "auc", "direction": "higher_is_better", "max_loss": max_loss}
    report = judged(noisier(crowd(7, users=users), city=city), against_champion=[change])
    check = only(report)
    assert report.verdict is verdict
    assert check.interval is not None
    assert check.interval[0] < check.observed < check.interval[1]
    assert f">= -{max_loss:g}" in check.bound
    assert "of champion version 3, a change of" in check.reason


def test_lower_may_be_better() -> None:
    found = shifted(crowd(8, users=2000), city="", by=3.0)
    change = {"metric": "binary_crossentropy", "direction": "lower_is_better", "max_loss": 0.02}
    metrics = ["binary_crossentropy"]
    assert judged(found, metrics=metrics, against_champion=[change]).verdict is Verdict.REFUSED
    assert judged(found, metrics=metrics, against_champion=[change | {"max_loss": 1}]).verdict is Verdict.ACCEPTED


def test_the_same_model_again_loses_nothing() -> None:
    found = crowd(9)
    same = found.set_column(found.schema.get_field_index("champion"), "champion", found.column("candidate"))
    change = {"metric": "auc", "direction": "higher_is_better"}
    assert judged(same, against_champion=[change]).verdict is Verdict.ACCEPTED


def test_rows_of_one_user_prove_no_change() -> None:
    change = {"metric": "mean_prediction", "direction": "lower_is_better", "max_loss": 1}
    check = only(judged(crowd(10, users=1), metrics=["mean_prediction"], against_champion=[change]))
    assert check.verdict is Verdict.NOT_EVALUABLE
    assert "all rows are of one user" in check.reason
