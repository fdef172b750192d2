"""What to do with a rollout now: pure, total, and replayable from the events.

    decision = decide(standing, snapshot, now=now)       # `snapshot` is None when no join has ended yet
    decision.state, decision.code, decision.reason

REGISTERED waits for the gates, AWAIT_APPROVAL for a person, PROMOTING and ROLLING_BACK for their projection: whoever
completes them moves the row, and `decide` leaves it where it is.
"""

from __future__ import annotations

from datetime import datetime

from components.rollout.checks import Check
from components.rollout.snapshot import Snapshot
from components.rollout.standing import Look, Standing, State
from pipelines.spec import Frozen
from pipelines.spec.rollout import Rollout as Terms

_WAITING = {
    State.REGISTERED: ("ungated", "It waits for its gates."),
    State.AWAIT_APPROVAL: ("unapproved", "It waits for somebody's approval."),
    State.PROMOTING: ("projecting", "The promotion is being carried out."),
    State.ROLLING_BACK: ("projecting", "The rollback is being carried out."),
    State.PROMOTED: ("final", "It was promoted."),
    State.ROLLED_BACK: ("final", "It was rolled back."),
    State.INCONCLUSIVE: ("final", "It ended without a conclusion."),
    State.SUPERSEDED: ("final", "A newer candidate took its place."),
}


class Decision(Frozen):
    state: State
    stage: int
    code: str
    reason: str
    """One sentence."""
    held: State | None = None
    look: Look | None = None
    """That was taken now; it is appended to those of the standing."""
    checks: tuple[Check, ...] = ()
    moves: bool
    """False: state and stage stay what they are."""


def decide(standing: Standing, snapshot: Snapshot | None, *, now: datetime) -> Decision:
    if standing.state in _WAITING:
        return _stay(standing, *_WAITING[standing.state])
    if standing.state is State.GATED:
        return _leave_gates(standing)
    return _stay(standing, "too_soon", "Nothing is due yet.")


def first_state(terms: Terms) -> State:
    """That an approved candidate enters."""
    return State.SHADOW if terms.shadow_hours else State.RAMP


def _leave_gates(standing: Standing) -> Decision:
    if standing.plan.terms.approval:
        return _move(standing, State.AWAIT_APPROVAL, "needs_approval", "Somebody must agree before users meet it.")
    return _move(standing, first_state(standing.plan.terms), "gates_passed", "Its gates were passed.")


def _stay(standing: Standing, code: str, reason: str) -> Decision:
    return Decision(
        state=standing.state, stage=standing.stage, code=code, reason=reason, held=standing.held, moves=False
    )


def _move(standing: Standing, state: State, code: str, reason: str) -> Decision:
    return Decision(state=state, stage=standing.stage, code=code, reason=reason, moves=True)
