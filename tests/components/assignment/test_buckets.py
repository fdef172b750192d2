from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from components.assignment.buckets import BUCKETS, assign, bucket
from components.assignment.split import Arm, Experiment, Holdback, Model, Split

SHARES = st.integers(1, 5000).map(lambda buckets: buckets / BUCKETS)


def split(share: float, *, salt: str = "shop-17", shadow: bool = False, holdback: float = 0.0) -> Split:
    return Split(
        model="shop",
        version=1,
        written=0.0,
        ttl_secs=60.0,
        unit="user_id",
        champion="6",
        models=tuple(Model(version, f"/models/{version}") for version in ("3", "6", "7")),
        experiment=Experiment(salt, "7", share, shadow),
        holdback=Holdback("shop-2026Q1", holdback, "3") if holdback else None,
    )


def arms(share: float, units: int = 2000, **options: object) -> list[Arm]:
    document = split(share, **options)  # type: ignore[arg-type]
    return [assign(document, f"u{unit}").arm for unit in range(units)]


@pytest.mark.parametrize(
    ("salt", "unit", "expected"),
    [
        ("shop-17", "u42", 3155),
        ("shop-17", "u43", 4369),
        ("shop-18", "u42", 6316),
        ("", "", 1014),
        ("shop-2026Q1", "ü", 6099),
        ("r", "1000000", 1183),
    ],
)
def test_buckets_are_those_of_the_contract(salt: str, unit: str, expected: int) -> None:
    """int(sha256("salt:unit").hexdigest()[:8], 16) % 10_000, computed by hand: they never change."""
    assert bucket(salt, unit) == expected


@settings(max_examples=25, deadline=None)
@given(SHARES, SHARES)
def test_a_larger_share_moves_nobody_between_arms(one: float, other: float) -> None:
    less, more = sorted((one, other))
    for before, after in zip(arms(less), arms(more), strict=True):
        assert before in (after, Arm.CHAMPION)


@settings(max_examples=200, deadline=None)
@given(SHARES)
def test_both_arms_have_equally_many_buckets(share: float) -> None:
    document, units = split(share), _unit_of_each_bucket("shop-17")
    found = [assign(document, unit).arm for unit in units]
    width = round(share * BUCKETS)
    assert found[:width] == [Arm.TREATMENT] * width
    assert found[BUCKETS - width :] == [Arm.CONTROL] * width
    assert set(found[width : BUCKETS - width]) <= {Arm.CHAMPION}


def _unit_of_each_bucket(salt: str, _found: dict[str, list[str]] = {}) -> list[str]:  # noqa: B006 - a cache
    if salt not in _found:
        by_bucket: dict[int, str] = {}
        for unit in range(200_000):
            by_bucket.setdefault(bucket(salt, str(unit)), str(unit))
        assert len(by_bucket) == BUCKETS
        _found[salt] = [by_bucket[number] for number in range(BUCKETS)]
    return _found[salt]


def test_versions_go_with_arms() -> None:
    document = split(0.5)
    versions = {assign(document, f"u{unit}") for unit in range(100)}
    assert versions == {(Arm.TREATMENT, "7"), (Arm.CONTROL, "6")}


def test_in_shadow_nobody_is_in_an_arm() -> None:
    assert set(arms(0.5, shadow=True)) == {Arm.CHAMPION}


def test_the_holdback_comes_first_and_by_its_own_salt() -> None:
    without, with_it = arms(0.5, units=20_000), arms(0.5, units=20_000, holdback=0.1)
    held = [arm for arm, later in zip(without, with_it, strict=True) if later is Arm.HOLDBACK]
    assert 0.09 < len(held) / len(with_it) < 0.11
    # Those held back would have been in either arm alike.
    assert 0.46 < held.count(Arm.TREATMENT) / len(held) < 0.54
    assert all(later in (arm, Arm.HOLDBACK) for arm, later in zip(without, with_it, strict=True))


def test_salts_are_independent() -> None:
    """Chi-square of both bucket deciles over 40,000 units: p below 1e-6 would be no chance."""
    units = [f"u{unit}" for unit in range(40_000)]
    one, other = ([bucket(salt, unit) // 1000 for unit in units] for salt in ("shop-17", "shop-18"))
    table = np.histogram2d(one, other, bins=[range(11), range(11)])[0]
    assert stats.chi2_contingency(table).pvalue > 1e-6
    assert stats.chisquare(np.bincount(one)).pvalue > 1e-6
