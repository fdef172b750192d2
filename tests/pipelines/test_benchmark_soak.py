"""The soak: what it calls growth, and a short one of a real gateway."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.benchmarks.soak import TOLERANCE, Soak, growth_of, run


def _samples(*, grows: float, swap_every: int = 9) -> list[tuple[float, float]]:
    """200 MiB and noise, two models for a moment at every swap; `grows`: MiB over the time."""
    noise = random.Random(3)
    return [
        (float(second), 200 + grows * second / 240 + noise.gauss(0, 1) + 40 * (second % swap_every == 0))
        for second in range(240)
    ]


def test_a_leak_is_growth_and_swaps_are_none() -> None:
    assert growth_of(_samples(grows=0))[0] <= 0 <= TOLERANCE
    low, estimate = growth_of(_samples(grows=40))
    assert low > TOLERANCE
    assert estimate == pytest.approx(20 / 220, rel=0.2)


def test_what_fills_caches_at_the_start_is_no_growth() -> None:
    samples = [(float(second), min(200.0 + second, 230.0)) for second in range(240)]
    assert growth_of(samples) == (0, 0)


@pytest.mark.parametrize(("status", "lost", "passed"), [("200", 0, True), ("500", 0, False), ("200", 1, False)])
def test_one_failure_or_lost_exposure_fails_it(status: str, lost: int, passed: bool) -> None:
    soak = Soak(240, 1, Counter({"200": 239, status: 1}), _samples(grows=0), [1.0], 3, {"lost": lost})
    assert soak.summary()["passed"] is passed


@pytest.mark.slow
def test_memory_stays_through_rotation_swaps_and_outcomes(tmp_path: Path) -> None:
    found = run(tmp_path, seconds=24, rate=100, swap_secs=0.8, rotate_secs=4)
    summary = found.summary()
    assert summary["passed"], summary
    assert found.swaps >= 15
    assert found.log["outcomes"] == 240
    assert list((tmp_path / "log").rglob("*.parquet"))
