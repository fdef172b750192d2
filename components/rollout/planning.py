"""Whether the terms of a rollout can be met: users and days that the margins need, from the newest snapshot.

for line in render_plan(settings, spec, users_per_day=50_000):
    print(line)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from components.inference.planning import days_needed, plan_warnings, users_needed
from components.rollout.comparison import compare_arms
from components.rollout.snapshot import Snapshot
from pipelines.errors import DataError
from pipelines.settings import Settings
from pipelines.spec import Kpi, Rollout, Spec


def render_plan(settings: Settings, spec: Spec, *, users_per_day: float) -> Iterator[str]:
    """Raises `DataError` without a snapshot: variance and traffic are measured, not guessed."""
    terms = spec.rollout
    assert terms is not None  # the command asked for it
    snapshot = Snapshot.model_validate_json(newest_snapshot(settings, spec.name).read_bytes())
    yield f"from the snapshot of {snapshot.as_of:%Y-%m-%d %H:%M} UTC, {users_per_day:,.0f} new users a day"
    for kpi in spec.kpis:
        if not kpi.guardrail:
            yield from _of_kpi(kpi, snapshot, terms, users_per_day)


def _of_kpi(kpi: Kpi, snapshot: Snapshot, terms: Rollout, per_day: float) -> Iterator[str]:
    found = compare_arms(kpi, snapshot.kpi(kpi.name))
    if not math.isfinite(found.unit_variance) or not found.control:
        yield f"{kpi.name}: too few units have had their window to say"
        return
    relative = kpi.margin_unit == "relative"
    margin = kpi.margin * abs(found.control) if relative else kpi.margin
    needed = users_needed(
        unit_variance=found.unit_variance,
        margin=margin,
        alpha=terms.alpha,
        looks=terms.looks,
        family=terms.spending,
        scale=1 - kpi.margin if relative else 1.0,
    )
    days = days_needed(
        units=needed,
        new_units_per_day=per_day,
        stages=terms.stages,
        stage_days=terms.stage_hours / 24,
        window_days=(terms.cohort_hours + terms.maturity_hours) / 24,
    )
    takes = f"{days:.1f} days" if math.isfinite(days) else "never"
    yield f"{kpi.name}: a margin of {kpi.margin:g} needs {needed:,} users in each arm; {takes}"
    for warning in plan_warnings(
        units_needed=needed, users_per_arm=terms.users_per_arm, days=days, horizon_days=terms.horizon_hours / 24
    ):
        yield f"  {warning}"


def newest_snapshot(settings: Settings, model: str) -> Path:
    """Its file's name is its time."""
    found = (settings.state / "rollouts" / model).glob("*/snapshots/*.json")
    path = max(found, key=lambda one: one.name, default=None)
    if path is None:
        raise DataError(
            f"a plan rests on a snapshot. Received: none of {model} below {settings.state / 'rollouts'}",
            fix=f"`daybreak rollout tick {model}` makes one while a rollout is under way",
        )
    return path
