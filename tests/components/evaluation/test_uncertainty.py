"""Errors by user: against a bootstrap over users, and by how often their intervals hold the truth."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest

from components.evaluation.metrics import OVERALL
from components.evaluation.scored import UNIT
from components.evaluation.sums import SliceSums
from components.evaluation.uncertainty import ByUser, Uncertainty
from components.inference.units import interval
from pipelines.spec import METRICS
from tests.components.evaluation.crowds import SLICINGS, crowd, measure
from tests.components.evaluation.test_sums import MODELS

ALL = [*METRICS, "precision@0.3", "recall@0.3"]
BERLIN, ROME = "city=Berlin", "city=Rome"


def users_of(found: pa.RecordBatch) -> list[np.ndarray]:
    units = found.column(UNIT).to_numpy()
    return np.split(np.arange(len(units)), np.flatnonzero(np.diff(units.astype(np.int64))) + 1)


def test_errors_are_those_of_a_bootstrap_over_users() -> None:
    found = crowd(3)
    users, random, drawn = users_of(found), np.random.default_rng(4), []
    for _ in range(400):
        rows = np.concatenate([users[one] for one in random.integers(0, len(users), len(users))])
        drawn.append(measure(found.take(pa.array(rows)), metrics=ALL)[0])
    _, uncertainty = measure(found, metrics=ALL)
    for name in (OVERALL, BERLIN):
        errors = uncertainty.errors(name)
        for metric in ALL:
            for part in ("candidate", "champion", "change"):
                expected = np.std([getattr(table[name], part)[metric] for table in drawn])
                assert getattr(errors, part)[metric] == pytest.approx(expected, rel=0.13, abs=1e-9), (
                    name,
                    metric,
                    part,
                )
    gaps = [table[BERLIN].candidate["auc"] - table[ROME].candidate["auc"] for table in drawn]
    assert uncertainty.gap_error(BERLIN, ROME, "auc") == pytest.approx(np.std(gaps), rel=0.13)


def test_intervals_hold_the_truth_where_rows_of_a_user_are_alike() -> None:
    """The two models are equally good, so their true change is zero; rows taken for independent claim too much."""
    runs, metrics = 600, ["auc", "binary_crossentropy", "calibration"]
    held = {by_row: dict.fromkeys(metrics, 0) for by_row in (False, True)}
    for seed in range(runs):
        found = crowd(seed, users=300)
        for by_row, count in held.items():
            table, uncertainty = measure(found, metrics=metrics, by_row=by_row)
            for metric in metrics:
                error = uncertainty.errors(OVERALL).change[metric]
                low, high = interval(table[OVERALL].change[metric], error)
                count[metric] += low <= 0 <= high
    for metric in metrics:
        assert 0.93 <= held[False][metric] / runs <= 0.97, held
        assert held[True][metric] / runs < 0.85, held


def test_a_user_in_both_slices_counts_in_the_error_of_their_gap() -> None:
    """Where every user has the same rows in both cities, nothing but noise of rows would be left of the gap."""
    found = crowd(5, cities=["Berlin"])
    twin = found.set_column(3, "city", crowd(5, cities=["Rome"]).column("city"))
    both = pa.Table.from_batches([found, twin]).unify_dictionaries().combine_chunks().to_batches()[0]
    _, uncertainty = measure(both, metrics=["auc", "calibration"])
    assert uncertainty.errors(BERLIN).candidate["auc"] > 0.01
    assert uncertainty.gap_error(BERLIN, ROME, "auc") == pytest.approx(0, abs=1e-9)


def test_parts_give_the_whole_and_small_slices_have_no_error() -> None:
    found = crowd(6, cities=["Berlin"] * 50 + ["Oslo"])
    sums = SliceSums(MODELS, SLICINGS).partial(found)
    kernel = ByUser(sums, slicings=SLICINGS, models=MODELS, metrics=METRICS, min_rows=200)
    kernel = pickle.loads(pickle.dumps(kernel))
    parts = [kernel.sums_of(found.slice(start, length)) for start, length in ((0, 1), (1, 900), (901, 10_000))]
    whole, merged = (Uncertainty(kernel, given) for given in (kernel.sums_of(found), kernel.merge(parts)))
    assert whole.slices == merged.slices == [OVERALL, BERLIN]
    for name in whole.slices:
        assert merged.errors(name).change == pytest.approx(whole.errors(name).change, rel=1e-9)
    assert whole.errors("city=Oslo").candidate == {}


def test_one_user_or_one_class_has_no_error() -> None:
    found = crowd(7, users=1)
    _, alone = measure(found, metrics=["calibration"], min_rows=2)
    assert alone.errors(OVERALL).candidate == {}
    many = crowd(8)
    zeros = many.set_column(0, many.schema.names[0], pa.array(np.zeros(many.num_rows, "f4")))
    _, uncertainty = measure(zeros, metrics=["auc", "calibration", "mean_prediction"])
    assert set(uncertainty.errors(OVERALL).candidate) == {"mean_prediction"}
