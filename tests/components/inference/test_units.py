"""Standard errors by unit, against the bootstrap and against rows that are taken for independent."""

from __future__ import annotations

import numpy as np
import pytest

from components.inference.units import UnitSums, interval, merge_units, standard_errors, sum_by_unit


def users(seed: int, *, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Units and values: a user's rows share half of what they vary by."""
    random = np.random.default_rng(seed)
    rows = random.integers(1, 12, count)
    units = np.repeat(random.permutation(count).astype(np.uint64), rows)
    return units, np.repeat(random.normal(size=count), rows) + random.normal(size=rows.sum())


def error_of_mean(units: np.ndarray, values: np.ndarray) -> float:
    influence = (values - values.mean()) / len(values)
    return float(standard_errors(sum_by_unit(units, influence[:, None]))[0])


def test_sums_are_those_of_each_unit() -> None:
    found = sum_by_unit(np.array([7, 3, 7], np.uint64), np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]))
    assert found.units.tolist() == [3, 7]
    assert found.values.tolist() == [[2.0, 20.0], [4.0, 40.0]]


def test_parts_give_the_whole() -> None:
    units, values = users(1)
    whole = sum_by_unit(units, values[:, None])
    cuts = [slice(0, 10), slice(10, 700), slice(700, None)]
    merged = merge_units([sum_by_unit(units[cut], values[cut, None]) for cut in cuts])
    assert merged.units.tolist() == whole.units.tolist()
    np.testing.assert_allclose(merged.values, whole.values, atol=1e-12)


def test_the_error_is_that_of_a_bootstrap_over_users() -> None:
    units, values = users(2, count=400)
    by_user = [values[units == unit] for unit in np.unique(units)]
    random = np.random.default_rng(3)
    means = []
    for _ in range(800):
        drawn = random.integers(0, len(by_user), len(by_user))
        means.append(np.concatenate([by_user[one] for one in drawn]).mean())
    assert error_of_mean(units, values) == pytest.approx(np.std(means), rel=0.1)


def test_intervals_cover_the_truth_where_rows_of_a_user_are_alike() -> None:
    covered = [0, 0]
    for seed in range(600):
        units, values = users(seed)
        independent = values.std() / np.sqrt(len(values))
        for place, error in enumerate((error_of_mean(units, values), independent)):
            low, high = interval(values.mean(), error)
            covered[place] += low <= 0 <= high
    assert 0.93 <= covered[0] / 600 <= 0.97
    assert covered[1] / 600 < 0.85  # what users being alike costs who does not look


def test_one_unit_says_nothing() -> None:
    assert np.isnan(standard_errors(UnitSums(np.array([1], np.uint64), np.ones((1, 2))))).all()
