from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from tea_tasting.aggr import Aggregates
from tea_tasting.metrics import RatioOfMeans

from components.inference.ratios import compare
from components.rollout.simulation.populations import Population, draw_users
from components.rollout.snapshot import Sums

Floats = npt.NDArray[np.float64]
CLICKS = Population(name="clicks")


def sums_of(x: Floats, y: Floats, c: Floats | None = None) -> Sums:
    c = np.zeros(len(x)) if c is None else c
    pairs = {
        "sx": x,
        "sy": y,
        "sxx": x * x,
        "syy": y * y,
        "sxy": x * y,
        "sc": c,
        "scc": c * c,
        "sxc": x * c,
        "syc": y * c,
    }
    return Sums(n=len(x), **{name: float(values.sum()) for name, values in pairs.items()})


def aggregates_of(x: Floats, y: Floats, c: Floats) -> Aggregates:
    values = {"x": x, "y": y, "c": c}
    return Aggregates(
        len(x),
        {name: float(each.mean()) for name, each in values.items()},
        {name: float(each.var(ddof=1)) for name, each in values.items()},
        {(a, b): float(np.cov(values[a], values[b])[0, 1]) for a, b in (("x", "y"), ("c", "x"), ("c", "y"))},
    )


def arms(count: int, seed: int, effect: float = 0.0) -> list[tuple[Floats, Floats, Floats]]:
    random = np.random.default_rng(seed)
    found = []
    for arm in range(2):
        x, y = draw_users(CLICKS, count, random)
        found.append((x, y * (1 + effect * arm), y + random.normal(0, 0.7, count)))
    return found


def test_the_difference_is_that_of_the_library() -> None:
    control, treatment = arms(20_000, 1, effect=-0.03)
    metric = RatioOfMeans("y", "x", use_t=False, equal_var=False)
    theirs = metric.analyze_aggregates(aggregates_of(*control), aggregates_of(*treatment))
    ours = compare(sums_of(*control[:2]), sums_of(*treatment[:2]))
    assert (ours.control, ours.treatment) == pytest.approx((theirs.control, theirs.treatment), rel=1e-12)
    assert ours.z == pytest.approx(theirs.statistic, rel=1e-9)


def test_the_covariate_helps_as_much_as_in_the_library() -> None:
    control, treatment = arms(20_000, 2, effect=-0.03)
    metric = RatioOfMeans("y", "x", "c", use_t=False, equal_var=False)
    theirs = metric.analyze_aggregates(aggregates_of(*control), aggregates_of(*treatment))
    ours = compare(sums_of(*control), sums_of(*treatment))
    assert ours.value == pytest.approx(theirs.effect_size, rel=1e-3)
    assert ours.z == pytest.approx(theirs.statistic, rel=1e-3)
    plain = compare(sums_of(*control[:2]), sums_of(*treatment[:2]))
    assert ours.variance_reduction == pytest.approx(1 - ours.variance / plain.variance, rel=1e-9)
    assert ours.variance_reduction > 0.3


def test_a_relative_margin_is_a_scaled_control() -> None:
    (cx, cy, _), (tx, ty, _) = arms(20_000, 3)
    theirs = compare(sums_of(cx, 0.98 * cy), sums_of(tx, ty))
    ours = compare(sums_of(cx, cy), sums_of(tx, ty), margin=0.02)
    assert (ours.value, ours.variance) == pytest.approx((theirs.value, theirs.variance), rel=1e-9)


def test_an_absolute_margin_is_added() -> None:
    control, treatment = (sums_of(*arm[:2]) for arm in arms(1000, 4))
    plain, shifted = compare(control, treatment), compare(control, treatment, absolute=0.001)
    assert shifted.value - plain.value == pytest.approx(0.001)
    assert shifted.variance == plain.variance


def test_shards_merge_to_the_whole() -> None:
    (x, y, c), other = arms(4000, 5)
    merged = sums_of(x[:1500], y[:1500], c[:1500]).merge(sums_of(x[1500:], y[1500:], c[1500:]))
    assert compare(merged, sums_of(*other)) == pytest.approx(compare(sums_of(x, y, c), sums_of(*other)))


def test_two_equal_arms_differ_once_in_twenty_times() -> None:
    """As if rows were independent they would differ 13 times in a hundred."""
    rejected = 0
    for seed in range(2000):
        control, treatment = (sums_of(*arm[:2]) for arm in arms(400, 100 + seed))
        rejected += abs(compare(control, treatment).z) > 1.96
    assert 0.0345 <= rejected / 2000 <= 0.0665


@pytest.mark.parametrize("empty", [Sums(), Sums(n=1, sx=1, sxx=1), Sums(n=5)])
def test_an_arm_of_nothing_is_not_a_number(empty: Sums) -> None:
    full = sums_of(*arms(100, 6)[0])
    for found in (compare(empty, full), compare(full, empty), compare(empty, empty)):
        assert math.isnan(found.variance)
        assert math.isnan(found.z)


def test_arms_without_spread_have_no_z() -> None:
    same = sums_of(np.ones(50), np.ones(50))
    assert math.isnan(compare(same, same).z)
