"""What a person does to a rollout: an event with user and reason, written first; a tick then carries it out.

before, after = act(store, "shop", "abort", actor="ann", reason="revenue fell", now=now)
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping

from components.ledger.entries import standing as ledger_standing
from components.ledger.ledger import Ledger
from components.rollout import commands
from components.rollout.deciding import Decision
from components.rollout.events import Change
from components.rollout.standing import QUEUED, Standing
from components.rollout.store import RolloutStore
from pipelines.errors import SpecError, bounded

_REASON_CHARACTERS = 1000
_VERBS: Mapping[str, Callable[..., Decision]] = {
    "approve": commands.approve,
    "pause": commands.pause,
    "resume": commands.resume,
    "abort": commands.abort,
    "force": commands.force,
    "force --promote": commands.force_promotion,
}


def act(
    store: RolloutStore, model: str, action: str, *, actor: str, reason: str, now: datetime.datetime, rollout: str = ""
) -> tuple[Standing, Standing]:
    """Raises `SpecError` where the rollout stands elsewhere, and without a reason."""
    if action not in _VERBS:
        raise SpecError(f"the action must be one of {', '.join(_VERBS)}. Received: {action}", fix="correct it")
    standing = find_rollout(store, model, rollout)
    decision = _VERBS[action](standing, reason=required_reason(reason))
    live = ledger_standing(Ledger(store.engine, model).entries()).champion
    moved = live if standing.state in QUEUED and live != standing.champion else None
    return standing, store.apply(standing, Change(now=now, decision=decision, champion=moved), actor=actor)


def find_rollout(store: RolloutStore, model: str, rollout: str = "") -> Standing:
    """The named one; else the active one, the queued one, or the last that ended."""
    known = store.standings(model)
    if not known:
        raise SpecError(
            f"NAME must be a pipeline that had a rollout: {bounded(store.models()) or 'there is none'}. "
            f"Received: {model}",
            fix=f"`daybreak rollout start {model}`, or retrain a day of it",
        )
    if not rollout:
        return store.active(model) or store.queued(model) or known[-1]
    found = next((one for one in known if one.id == rollout), None)
    if found is None:
        ids = bounded(one.id for one in reversed(known))
        raise SpecError(f"`--rollout` must be one of {ids}. Received: --rollout {rollout}", fix="correct it")
    return found


def required_reason(reason: str) -> str:
    text = " ".join(reason.split())
    if not text:
        raise SpecError("`--reason` says why, for those who read the events. Received: nothing", fix="--reason TEXT")
    return text[:_REASON_CHARACTERS]
