"""Rollouts and decisions as tests want them."""

from __future__ import annotations

import datetime
from typing import Any

from components.rollout.deciding import Decision
from components.rollout.events import Change
from components.rollout.standing import Plan, Standing, State
from components.rollout.store import RolloutStore
from pipelines.spec import Kpi, Rollout

NOON = datetime.datetime(2026, 1, 20, 12, tzinfo=datetime.UTC)


def plan(**terms: Any) -> Plan:
    return Plan(
        terms=Rollout(unit="user_id", **terms), kpis=(Kpi(name="click_rate", numerator="clicked", margin=0.05),)
    )


def decision(state: State, *, stage: int = 0, held: State | None = None, code: str = "told") -> Decision:
    return Decision(state=state, stage=stage, code=code, reason="because", held=held, moves=True)


def change(
    state: State, *, stage: int = 0, held: State | None = None, minutes: float = 0, code: str = "told"
) -> Change:
    return Change(now=after(minutes), decision=decision(state, stage=stage, held=held, code=code))


def after(minutes: float) -> datetime.datetime:
    return NOON + datetime.timedelta(minutes=minutes)


def begin(store: RolloutStore, model: str, version: str = "2", /, **terms: Any) -> Standing:
    """`version` queued; version 1 is champion."""
    return store.begin(
        model=model,
        plan=plan(**terms),
        champion="1",
        challenger=version,
        actor="node register",
        reason="accepted",
        now=NOON,
    )


def lead(store: RolloutStore, standing: Standing, *states: State) -> Standing:
    """Through `states`, a minute each."""
    for minute, state in enumerate(states, start=1):
        held = standing.state if state is State.HOLD else None
        standing = store.apply(standing, change(state, held=held, minutes=minute), actor="tick")
    return standing
