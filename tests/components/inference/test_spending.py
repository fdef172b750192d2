from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from components.inference.spending import Family, crossing_probability, look_bounds, next_bound, spent_alpha
from pipelines.errors import DataError

FIFTHS = [0.2, 0.4, 0.6, 0.8, 1.0]
UNEVEN = [0.13, 0.55, 0.61, 0.97]


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("obrien_fleming", [4.8769, 3.3570, 2.6803, 2.2898, 2.0310]),
        ("pocock", [2.4380, 2.4268, 2.4102, 2.3966, 2.3860]),
        ("cubic", [3.5401, 2.9743, 2.6045, 2.3063, 2.0455]),
    ],
)
def test_bounds_are_those_of_the_literature(family: Family, expected: list[float]) -> None:
    assert look_bounds(FIFTHS, alpha=0.025, family=family) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("family", ["obrien_fleming", "pocock", "cubic"])
@pytest.mark.parametrize("fractions", [FIFTHS, UNEVEN, [0.3, 1.4], [1.0], [look / 30 for look in range(1, 31)]])
def test_all_looks_together_spend_what_was_declared(fractions: list[float], family: Family) -> None:
    bounds = look_bounds(fractions, alpha=0.05, family=family)
    spent = spent_alpha(fractions[-1], alpha=0.05, family=family)
    assert crossing_probability(fractions, bounds, drift=0) == pytest.approx(spent, abs=1e-6)


def test_bounds_hold_for_a_walk_that_was_simulated() -> None:
    bounds = look_bounds(UNEVEN, alpha=0.05, family="pocock", final=True)
    steps = np.random.default_rng(3).standard_normal((400_000, 4)) * np.sqrt(np.diff([0, *UNEVEN]))
    crossed = (np.cumsum(steps, axis=1) / np.sqrt(UNEVEN) >= bounds).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 400_000))


def test_one_look_is_the_plain_test() -> None:
    assert look_bounds([1.0], alpha=0.05, family="cubic") == pytest.approx([stats.norm.isf(0.05)], abs=1e-6)


def test_the_last_look_spends_the_rest_however_little_information_there_is() -> None:
    short = look_bounds([0.3, 0.6], alpha=0.05, family="cubic", final=True)
    assert crossing_probability([0.3, 0.6], short, drift=0) == pytest.approx(0.05, abs=1e-6)
    assert short[-1] < look_bounds([0.3, 0.6], alpha=0.05, family="cubic")[-1]


def test_more_information_than_planned_spends_no_more_than_alpha() -> None:
    bounds = look_bounds([0.5, 1.3], alpha=0.05, family="cubic")
    assert crossing_probability([0.5, 1.3], bounds, drift=0) == pytest.approx(0.05, abs=1e-6)


def test_a_bound_depends_on_the_past_only() -> None:
    assert look_bounds([0.2, 0.5, 0.9], alpha=0.05, family="cubic")[:2] == pytest.approx(
        look_bounds([0.2, 0.5, 1.0], alpha=0.05, family="cubic")[:2]
    )


def test_next_to_nothing_spent_is_a_bound_that_nothing_reaches() -> None:
    assert look_bounds([0.001, 1.0], alpha=0.05, family="obrien_fleming")[0] == 12.0


def test_power_without_looks_is_the_textbook_one() -> None:
    drift = float(stats.norm.isf(0.05) + stats.norm.ppf(0.8))
    assert crossing_probability([1.0], [float(stats.norm.isf(0.05))], drift=drift) == pytest.approx(0.8, abs=1e-9)


def test_spending_rises_from_nothing_to_alpha() -> None:
    for family in ("obrien_fleming", "pocock", "cubic"):
        spent = [spent_alpha(step / 50, alpha=0.05, family=family) for step in range(60)]
        assert spent[0] == 0
        assert spent[50:] == [0.05] * 10
        assert all(later > earlier for earlier, later in itertools.pairwise(spent[1:51]))


@pytest.mark.parametrize("fractions", [[], [0.0, 0.5], [0.5, 0.5], [0.6, 0.5]])
def test_looks_without_new_information_are_refused(fractions: list[float]) -> None:
    with pytest.raises(DataError, match="rise"):
        next_bound(fractions, [2.0] * (len(fractions) - 1), 0.01)
