"""Events of a rollout, and what they add up to: pure, so that the log replays to the row.

change = Change.of(decision, now=now)
advance(standing, change)                       # the standing after it
replay(store.events("shop-3-1a2b3c"))           # == store.standing("shop-3-1a2b3c")
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from typing import Any

from pydantic import AwareDatetime

from components.rollout.commands import BY_HAND
from components.rollout.deciding import Decision
from components.rollout.standing import Plan, Standing, State
from pipelines.spec import Frozen


class Change(Frozen):
    """What one event changes."""

    now: AwareDatetime
    """Of the tick, whose clock may be simulated."""
    decision: Decision
    champion: str | None = None
    """Version that takes this place: an arm of an experiment was retrained, or its winner got a number here."""
    challenger: str | None = None

    @classmethod
    def of(cls, decision: Decision, *, now: datetime.datetime) -> Change:
        return cls(now=now, decision=decision)


class Event(Frozen):
    rollout: str
    seq: int
    """1, 2, 3 … without gaps."""
    model: str
    time: AwareDatetime
    """Of the database."""
    actor: str
    code: str
    reason: str
    from_state: State | None
    """None: the first event."""
    to_state: State
    snapshot: str
    """Digest; empty where no snapshot decided."""
    plan: str
    """Digest."""
    ledger_seq: int | None
    """The ledger's row that it answers, or that it wrote."""
    decision: dict[str, Any]
    """A `Change`; of the first event the `Standing` it began with."""


def advance(standing: Standing, change: Change) -> Standing:
    decision = change.decision
    moved = (decision.state, decision.stage) != (standing.state, standing.stage)
    ramps = decision.state is State.RAMP
    return standing.model_copy(
        update={
            "state": decision.state,
            "stage": decision.stage,
            "held": decision.held if decision.state is State.HOLD else None,
            "paused": decision.state is State.HOLD and (standing.paused or decision.code in BY_HAND),
            "entered": change.now if moved else standing.entered,
            "started": standing.started or (change.now if ramps else None),
            "reason": decision.reason,
            "looks": (*standing.looks, decision.look) if decision.look else standing.looks,
            "champion": change.champion or standing.champion,
            "challenger": change.challenger or standing.challenger,
            "seq": standing.seq + 1,
        }
    )


def replay(events: Sequence[Event]) -> Standing:
    first, *rest = events
    standing = Standing.model_validate(first.decision)
    for event in rest:
        standing = advance(standing, Change.model_validate(event.decision))
    return standing


def plan_digest(plan: Plan) -> str:
    return hashlib.sha256(plan.model_dump_json().encode()).hexdigest()
