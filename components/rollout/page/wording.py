"""What a rollout's row says, in words."""

from __future__ import annotations

import datetime

from components.rollout.page.history import decided
from components.rollout.standing import Standing, State

_HALVES = frozenset({State.RAMP, State.PROMOTING})


def stamp(time: datetime.datetime) -> str:
    return f"{time.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"


def phase(standing: Standing) -> str:
    """With its stage: `hold, from ramp, stage 2 of 3 (20% in each arm)`."""
    at, shares = _at(standing), standing.plan.terms.stages
    stage = (
        f", stage {standing.stage + 1} of {len(shares)} ({shares[standing.stage]:.0%} in each arm)"
        if at in _HALVES
        else ""
    )
    return f"hold, from {at}{stage}" if standing.state is State.HOLD else f"{at}{stage}"


def share_of(standing: Standing) -> str:
    """Of all units, how many meet the challenger."""
    at = _at(standing)
    if at in _HALVES:
        return f"{standing.plan.terms.stages[standing.stage]:.0%}"
    if at is State.SHADOW:
        return "mirrored only"
    return "all" if at in (State.WATCH, State.PROMOTED) else "none"


def arms(standing: Standing) -> list[tuple[str, str, str]]:
    """Name, version and share of all units."""
    at, terms = _at(standing), standing.plan.terms
    share = terms.stages[standing.stage]
    holdback = [("holdback", "frozen at the quarter's begin", f"{terms.holdback:.0%}")] if terms.holdback else []
    if at in _HALVES:
        rest = max(0.0, 1 - 2 * share - terms.holdback)
        return [
            ("control", standing.champion, f"{share:.0%}"),
            ("treatment", standing.challenger, f"{share:.0%}"),
            ("everybody else", standing.champion, f"{rest:.0%}"),
            *holdback,
        ]
    live = standing.challenger if at in (State.WATCH, State.PROMOTED) else standing.champion
    shadow = [("shadow", standing.challenger, "answers are mirrored, nobody sees them")] if at is State.SHADOW else []
    ended = [("control", standing.champion, "0%"), ("treatment", standing.challenger, "0%")] if standing.started else []
    return [("everybody", live, f"{1 - terms.holdback:.0%}"), *holdback, *shadow, *ended]


def next_look(standing: Standing) -> str:
    """As `components.rollout.promotion.look_due` has it."""
    terms, looks = standing.plan.terms, standing.looks
    if decided(standing):
        return "none, it is decided"
    if _at(standing) is not State.RAMP or standing.stage < len(terms.stages) - 1:
        return f"at the last stage, {terms.stages[-1]:.0%} in each arm"
    before, last = (looks[-1].information, looks[-1].time) if looks else (0.0, standing.entered)
    due = before + (1 - before) / max(1, terms.looks - len(looks))
    earliest = max(last, standing.entered) + datetime.timedelta(hours=terms.stage_hours)
    return f"look {len(looks) + 1} of {terms.looks}, with {due:.0%} of the information, not before {stamp(earliest)}"


def _at(standing: Standing) -> State:
    return standing.held if standing.state is State.HOLD and standing.held else standing.state
