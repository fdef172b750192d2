"""What becomes of an accepted candidate: champion at once, or in the queue for live traffic.

admission(plan, entries, day=day, version="4", known=store.standings("shop"))   # Admission.QUEUE
enqueue(store, plan, model="shop", champion="3", version="4", actor="node register", reason="…", now=now)
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Sequence

from components.ledger.entries import Entry, Event, champion, standing, versions
from components.rollout.budget import require_approval
from components.rollout.standing import Plan, Standing, State
from components.rollout.store import RolloutStore

_WON = frozenset({State.PROMOTING, State.WATCH, State.PROMOTED})


class Admission(enum.Enum):
    PROMOTE = "promote"
    QUEUE = "queue"
    KEEP = "keep"
    """Registered, and no more: a later day, or the winner of an experiment, is live."""


def admission(
    plan: Plan | None, entries: Sequence[Entry], *, day: datetime.date, version: str, known: Sequence[Standing]
) -> Admission:
    """`known`: all rollouts of the model, oldest first. A version that was queued stays so when its day runs again."""
    live = standing(entries).champion
    if any(rollout.challenger == version for rollout in known):
        return Admission.QUEUE
    if plan is None or live is None or version in versions(entries, Event.PROMOTED):
        return Admission.PROMOTE
    if plan.terms.kind == "experiment":
        return Admission.KEEP if known and _was_won_by(known[-1], plan.terms.challenger) else Admission.PROMOTE
    made_by = champion(entries)
    later = made_by is not None and made_by.day is not None and made_by.day > day
    return Admission.KEEP if later else Admission.QUEUE


def _was_won_by(newest: Standing, recipe: str | None) -> bool:
    """The winner stays live until somebody makes its recipe this pipeline's own."""
    return newest.state in _WON and newest.plan.terms.challenger == recipe


def enqueue(
    store: RolloutStore,
    plan: Plan,
    *,
    model: str,
    champion: str,
    version: str,
    actor: str,
    reason: str,
    now: datetime.datetime,
) -> Standing:
    """Once for each version: a day that is run again queues nothing new."""
    known = store.standings(model)
    for rollout in known:
        if rollout.challenger == version:
            return rollout
    plan = require_approval(plan, known, now=now)
    return store.begin(
        model=model, plan=plan, champion=champion, challenger=version, actor=actor, reason=reason, now=now
    )
