"""What the kept snapshots of a rollout said, each judged again by the functions that decide.

history = read_history(settings.state, standing)
history.kpis["click_rate"][-1].low
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from components.inference.spending import next_bound, spent_alpha
from components.rollout import promotion
from components.rollout.comparison import compare_arms
from components.rollout.harm import inspect_harm
from components.rollout.integrity import inspect_snapshot
from components.rollout.snapshot import Snapshot
from components.rollout.standing import Standing, State

MOST_SNAPSHOTS = 150


class Point(NamedTuple):
    time: datetime.datetime
    value: float
    """The treatment better by so much; of a guardrail, its margin added."""
    low: float
    high: float


class Evidence(NamedTuple):
    information: float
    z: float


@dataclass
class History:
    snapshots: list[Snapshot] = field(default_factory=list)
    kpis: dict[str, list[Point]] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    ratio: list[tuple[datetime.datetime, float]] = field(default_factory=list)
    """Log evidence that the arms are not of equal size."""

    @property
    def newest(self) -> Snapshot | None:
        return self.snapshots[-1] if self.snapshots else None


def read_history(state: Path, standing: Standing) -> History:
    found = History(_read_snapshots(state / "rollouts" / standing.model / standing.id / "snapshots"))
    for snapshot in found.snapshots:
        _add(found, standing, snapshot)
    return found


def decided(standing: Standing) -> bool:
    """No look comes any more."""
    return standing.final or (standing.held or standing.state) in (State.PROMOTING, State.WATCH, State.ROLLING_BACK)


def planned_looks(standing: Standing) -> list[Evidence]:
    """Information and bound of each look: those taken, then those left, evenly spread, as if each came when it is due."""
    terms = standing.plan.terms
    found = [Evidence(look.information, look.bound) for look in standing.looks]
    spent = standing.looks[-1].spent if standing.looks else 0.0
    before = found[-1].information if found else 0.0
    left = 0 if decided(standing) or before >= 1 else max(0, terms.looks - len(found))
    for number in range(1, left + 1):
        fraction = before + (1 - before) * number / left
        now = spent_alpha(fraction, alpha=terms.alpha, family=terms.spending)
        bound = next_bound([*(each.information for each in found), fraction], [each.z for each in found], now - spent)
        found.append(Evidence(fraction, bound))
        spent = now
    return found


def _read_snapshots(folder: Path) -> list[Snapshot]:
    """Thinned out evenly; the newest is always there."""
    paths = sorted(folder.glob("*.json"))
    step = max(1, math.ceil(len(paths) / MOST_SNAPSHOTS))
    found = []
    for path in sorted({*paths[::step], *paths[-1:]}):
        try:
            found.append(Snapshot.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            continue  # of another release, or gone meanwhile
    return sorted(found, key=lambda snapshot: snapshot.as_of)


def _add(found: History, standing: Standing, snapshot: Snapshot) -> None:
    for check in inspect_harm(standing, snapshot):
        if check.kpi and check.observed is not None and check.low is not None and check.high is not None:
            found.kpis.setdefault(check.kpi, []).append(Point(snapshot.as_of, check.observed, check.low, check.high))
    for check in inspect_snapshot(standing, snapshot, now=snapshot.as_of):
        if check.name == "sample_ratio" and check.observed is not None:
            found.ratio.append((snapshot.as_of, check.observed))
    information = promotion.information(standing, snapshot)
    if information is not None:
        found.evidence.append(Evidence(information, _least_z(standing, snapshot)))


def _least_z(standing: Standing, snapshot: Snapshot) -> float:
    not_worse = standing.plan.terms.kind == "refresh"
    deciding: Sequence[float] = [
        compare_arms(kpi, snapshot.kpi(kpi.name), with_margin=not_worse).z
        for kpi in standing.plan.kpis
        if not kpi.guardrail
    ]
    return min(deciding)
