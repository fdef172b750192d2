"""What a person may do to a rollout: pure, each a `Decision` that becomes an event with user and reason.

decision = abort(standing, reason="revenue fell")
store.apply(standing, Change.of(decision, now=now), actor="ann")

Raises `SpecError` where the rollout stands elsewhere, with what is possible there.
"""

from __future__ import annotations

from typing import NoReturn

from components.rollout.deciding import Decision, first_state
from components.rollout.standing import FINAL, QUEUED, Standing, State
from pipelines.errors import SpecError

_HOLDABLE = frozenset({State.SHADOW, State.RAMP, State.WATCH})
_FORCEABLE = frozenset({State.AWAIT_APPROVAL, State.SHADOW, State.RAMP, State.WATCH})
_PROMOTABLE = frozenset({State.SHADOW, State.RAMP, State.HOLD})
PAUSED, ALIAS_MOVED = "paused", "alias_moved"
BY_HAND = frozenset({PAUSED, ALIAS_MOVED})
"""Codes of a HOLD that only a person ends."""


def possible(standing: Standing) -> tuple[str, ...]:
    """The commands that its state allows."""
    state = standing.state
    found = {
        "approve": state is State.AWAIT_APPROVAL,
        "pause": state in _HOLDABLE,
        "resume": state is State.HOLD,
        "force": state in _FORCEABLE,
        "force --promote": state in _PROMOTABLE and standing.held is not State.WATCH,
        "abort": state not in FINAL and state is not State.ROLLING_BACK,
    }
    return tuple(command for command, allowed in found.items() if allowed)


def approve(standing: Standing, *, reason: str) -> Decision:
    _require("approve", standing)
    return _move(first_state(standing.plan.terms), "approved", reason)


def pause(standing: Standing, *, reason: str) -> Decision:
    """Into HOLD: the split stays as it is, nobody new is promoted or moved on."""
    _require("pause", standing)
    return _move(State.HOLD, PAUSED, reason, stage=standing.stage, held=standing.state)


def resume(standing: Standing, *, reason: str) -> Decision:
    _require("resume", standing)
    return _move(standing.held or State.RAMP, "resumed", reason, stage=standing.stage)


def abort(standing: Standing, *, reason: str) -> Decision:
    """Back to the champion; a candidate that nobody met yet is gone at once."""
    _require("abort", standing)
    state = State.ROLLED_BACK if standing.state in QUEUED else State.ROLLING_BACK
    return _move(state, "aborted", reason, stage=standing.stage)


def force(standing: Standing, *, reason: str) -> Decision:
    """To the next stage, whatever the statistics say; from the last one to promotion, from WATCH to the end."""
    _require("force", standing)
    terms = standing.plan.terms
    if standing.state is State.AWAIT_APPROVAL:
        return _move(first_state(terms), "forced", reason)
    if standing.state is State.SHADOW:
        return _move(State.RAMP, "forced", reason)
    if standing.state is State.WATCH:
        return _move(State.PROMOTED, "forced", reason, stage=standing.stage)
    if standing.stage + 1 < len(terms.stages):
        return _move(State.RAMP, "forced", reason, stage=standing.stage + 1)
    return _move(State.PROMOTING, "forced", reason, stage=standing.stage)


def force_promotion(standing: Standing, *, reason: str) -> Decision:
    _require("force --promote", standing)
    return _move(State.PROMOTING, "forced", reason, stage=standing.stage)


def _require(command: str, standing: Standing) -> None:
    if command not in possible(standing):
        _refuse(command, standing)


def _refuse(command: str, standing: Standing) -> NoReturn:
    allowed = ", ".join(possible(standing)) or "nothing, it has ended"
    raise SpecError(
        f"`{command}` does not fit where {standing.id} stands; possible now: {allowed}. Received: {standing.state}",
        fix=f"see `daybreak rollout status {standing.model}`",
    )


def _move(state: State, code: str, reason: str, *, stage: int = 0, held: State | None = None) -> Decision:
    return Decision(state=state, stage=stage, code=code, reason=reason, held=held, moves=True)
