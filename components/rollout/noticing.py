"""What changed around a rollout since its last event, found by comparing and not by being told: pure.

change = notice(standing, entries, events, now=now, other="7")     # None: nothing
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from components.ledger.entries import Entry
from components.ledger.entries import Event as LedgerEvent
from components.ledger.entries import standing as ledger_standing
from components.rollout.commands import ALIAS_MOVED
from components.rollout.deciding import Decision
from components.rollout.events import Change, Event
from components.rollout.standing import QUEUED, Standing, State
from components.rollout.versions import recipe_version

_MEETS_USERS = frozenset({State.SHADOW, State.RAMP, State.HOLD})
_HOLDABLE = frozenset({State.SHADOW, State.RAMP, State.WATCH})


@dataclass(frozen=True)
class Notice:
    change: Change
    ledger_seq: int | None = None


def notice(
    standing: Standing, entries: Sequence[Entry], events: Sequence[Event], *, now: datetime.datetime, other: str | None
) -> Notice | None:
    """`other`: champion of the other recipe of an experiment; `events`: of this rollout."""
    live = ledger_standing(entries).champion
    watched = State.WATCH in (standing.state, standing.held)
    if standing.state in QUEUED:
        return _champion_already(standing, now) if live == standing.challenger else None
    if watched and live != standing.challenger:
        return _moved(standing, State.ROLLING_BACK, "taken_back", f"version {live} was made champion in its place", now)
    if standing.state in _MEETS_USERS and not watched:
        around = _experiment if standing.plan.terms.kind == "experiment" else _refresh
        if found := around(standing, live, other, now):
            return found
    return _alias_moved(standing, entries, events, now)


def _champion_already(standing: Standing, now: datetime.datetime) -> Notice:
    return _moved(standing, State.SUPERSEDED, "champion_already", "somebody promoted it while it was queued", now)


def _refresh(standing: Standing, live: str | None, other: str | None, now: datetime.datetime) -> Notice | None:
    del other
    if live == standing.challenger:
        return _moved(standing, State.PROMOTING, "promoted_by_hand", "somebody promoted it", now)
    if live != standing.champion:
        text = f"version {live} became champion: what it was compared with, version {standing.champion}, is gone"
        return _moved(standing, State.ROLLING_BACK, "champion_changed", text, now)
    return None


def _experiment(standing: Standing, live: str | None, other: str | None, now: datetime.datetime) -> Notice | None:
    """An arm is a recipe: its newest version that passed its own gates takes the arm over."""
    recipe = standing.plan.terms.challenger or ""
    challenger = recipe_version(recipe, other) if other else standing.challenger
    champion = live or standing.champion
    if (champion, challenger) == (standing.champion, standing.challenger):
        return None
    text = f"arms are now version {champion} and {challenger}, before {standing.champion} and {standing.challenger}"
    decision = _decision(standing, standing.state, "arm_retrained", text)
    return Notice(Change(now=now, decision=decision, champion=champion, challenger=challenger))


def _alias_moved(
    standing: Standing, entries: Sequence[Entry], events: Sequence[Event], now: datetime.datetime
) -> Notice | None:
    """One event for each row of the ledger that says so; a person has a look before it goes on."""
    answered = {event.ledger_seq for event in events}
    begun = events[0].time
    for entry in entries:
        if entry.event is LedgerEvent.ALIAS_MOVED and entry.time > begun and entry.seq not in answered:
            state = State.HOLD if standing.state in _HOLDABLE else standing.state
            found = _moved(standing, state, ALIAS_MOVED, entry.reason, now)
            return Notice(found.change, ledger_seq=entry.seq)
    return None


def _moved(standing: Standing, state: State, code: str, reason: str, now: datetime.datetime) -> Notice:
    return Notice(Change.of(_decision(standing, state, code, reason), now=now))


def _decision(standing: Standing, state: State, code: str, reason: str) -> Decision:
    entering_hold = state is State.HOLD and standing.state is not State.HOLD
    held = standing.state if entering_hold else standing.held
    return Decision(
        state=state, stage=standing.stage, code=code, reason=reason, held=held, moves=state is not standing.state
    )
