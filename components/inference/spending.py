"""How large z must be at each look, so that all looks together reject a true null with probability alpha.

    bounds = look_bounds([0.2, 0.4, 0.6, 0.8, 1.0], alpha=0.025, family="obrien_fleming")
    bounds[-1]                                     # 2.0310
    crossing_probability(fractions, bounds, drift=2.8)

Alpha is spent as information comes in (Lan and DeMets, 1983), so looks need not be planned: a bound depends on the past
only. The distribution of z over looks is integrated numerically, look after look (Armitage, McPherson and Rowe, 1969;
Jennison and Turnbull, "Group Sequential Methods", 2000, ch. 19).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy import optimize, special, stats

from components.inference.units import Floats
from pipelines.errors import DataError

Family = Literal["cubic", "obrien_fleming", "pocock"]
_LOWEST = -9.0
"""z below which a path has no weight."""
_HIGHEST = 12.0
"""As good as no bound, yet finite, so that JSON can hold it."""
_NODES_PER_DEVIATION = 5.0
"""Of the transition between two looks; Gauss-Legendre is exact to 1e-9 well before that."""


def spent_alpha(fraction: float, *, alpha: float, family: Family) -> float:
    """One-sided, until `fraction` of the planned information; all of it from 1 on."""
    if fraction >= 1:
        return alpha
    if fraction <= 0:
        return 0.0
    if family == "obrien_fleming":
        return float(2 * stats.norm.sf(stats.norm.isf(alpha / 2) / math.sqrt(fraction)))
    if family == "pocock":
        return alpha * math.log(1 + (math.e - 1) * fraction)
    if family == "cubic":
        return alpha * fraction**3
    raise DataError(f"`family` is one of {', '.join(get_args(Family))}. Received: family={family}")


def look_bounds(fractions: Sequence[float], *, alpha: float, family: Family, final: bool = False) -> list[float]:
    """One for each look; `fractions` rise, and may pass 1. `final`: the last look spends what is left, however much
    information is missing then."""
    spent = [spent_alpha(fraction, alpha=alpha, family=family) for fraction in fractions]
    if final and spent:
        spent[-1] = alpha
    bounds: list[float] = []
    for place, now in enumerate(spent):
        increment = now - (spent[place - 1] if place else 0.0)
        bounds.append(next_bound(fractions[: place + 1], bounds, increment))
    return bounds


def next_bound(fractions: Sequence[float], bounds: Sequence[float], increment: float) -> float:
    """Of the last of `fractions`, given the bounds of those before; never above 12, which nothing reaches."""
    _require_rising(fractions)
    path = _surviving(tuple(fractions[:-1]), tuple(bounds))

    def excess(bound: float) -> float:
        return _crossing(path, fractions[-1], bound, drift=0.0) - increment

    if excess(_HIGHEST) >= 0:
        return _HIGHEST
    return float(optimize.brentq(excess, _LOWEST, _HIGHEST, xtol=1e-8))


def crossing_probability(fractions: Sequence[float], bounds: Sequence[float], *, drift: float) -> float:
    """That z passes a bound at any look; `drift` is the mean of z at fraction 1."""
    _require_rising(fractions)
    total = 0.0
    for place, bound in enumerate(bounds):
        path = _surviving(tuple(fractions[:place]), tuple(bounds[:place]), drift)
        total += _crossing(path, fractions[place], bound, drift=drift)
    return total


class _Path(NamedTuple):
    """Where z may be after a look that did not stop: nodes, and probability at each."""

    fraction: float
    z: Floats
    weight: Floats


_START = _Path(0.0, np.zeros(1), np.ones(1))


@lru_cache(maxsize=256)
def _surviving(fractions: tuple[float, ...], bounds: tuple[float, ...], drift: float = 0.0) -> _Path:
    if not fractions:
        return _START
    before = _surviving(fractions[:-1], bounds[:-1], drift)
    fraction = fractions[-1]
    high = min(bounds[-1], 9.0 + drift * math.sqrt(fraction))
    deviation = math.sqrt((fraction - before.fraction) / fraction)
    nodes, weights = _legendre(max(64, math.ceil(_NODES_PER_DEVIATION * (high - _LOWEST) / deviation)))
    z = _LOWEST + (high - _LOWEST) * (nodes + 1) / 2
    steps = np.sqrt(fraction) * z[:, None] - np.sqrt(before.fraction) * before.z - drift * (fraction - before.fraction)
    scale = math.sqrt(fraction - before.fraction)
    density = np.exp(-0.5 * np.square(steps / scale)) / (math.sqrt(2 * math.pi) * deviation)
    return _Path(fraction, z, (density @ before.weight) * weights * (high - _LOWEST) / 2)


def _crossing(path: _Path, fraction: float, bound: float, *, drift: float) -> float:
    left = fraction - path.fraction
    steps = bound * math.sqrt(fraction) - np.sqrt(path.fraction) * path.z - drift * left
    return float(path.weight @ special.ndtr(-steps / math.sqrt(left)))


@lru_cache(maxsize=32)
def _legendre(count: int) -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return nodes, weights


def _require_rising(fractions: Sequence[float]) -> None:
    if not fractions or fractions[0] <= 0 or any(b <= a for a, b in itertools.pairwise(fractions)):
        raise DataError(
            f"information fractions rise from above 0. Received: {[round(each, 6) for each in fractions[:5]]}",
            fix="a look without new information is no look: leave it out",
        )
