"""PROMOTING and ROLLING_BACK carried out: the ledger's row first, then the rollout's event that names it.

standing = complete(store, ledger, standing, now=now, adopt=adopt)

A process that is killed between the two is mended by the next one, which finds the row by its actor.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence

from components.ledger.entries import Draft, Entry, champion, versions
from components.ledger.entries import Event as LedgerEvent
from components.ledger.entries import standing as ledger_standing
from components.ledger.ledger import Ledger
from components.rollout.deciding import Decision
from components.rollout.events import Change
from components.rollout.standing import Standing, State
from components.rollout.store import RolloutStore

ACTOR = "tick"

Adopt = Callable[[str], str]
"""`adopt("shop_wide@7")`: the number that this version has, or gets, among the model's own."""


def ledger_actor(standing: Standing) -> str:
    return f"rollout {standing.id}"


def complete(
    store: RolloutStore, ledger: Ledger, standing: Standing, *, now: datetime.datetime, adopt: Adopt
) -> Standing:
    """Level-triggered. Raises `LedgerConflict` or `RolloutConflict` when somebody else was faster."""
    if standing.state is State.PROMOTING:
        return _promote(store, ledger, standing, now=now, adopt=adopt)
    if standing.state is State.ROLLING_BACK:
        return _roll_back(store, ledger, standing, now=now)
    return standing


def _promote(
    store: RolloutStore, ledger: Ledger, standing: Standing, *, now: datetime.datetime, adopt: Adopt
) -> Standing:
    entries = ledger.entries()
    live, own = ledger_standing(entries).champion, _own_promotion(entries, standing)
    version = (own.version if own else None) or standing.challenger
    overtaken = live != version and (own is not None or _is_another(standing, live))
    if overtaken:
        text = f"version {live} became champion meanwhile"
        return _move(store, standing, State.ROLLING_BACK, "champion_changed", text, now=now)
    if live != version:
        version = adopt(standing.challenger)
        entries = ledger.append(*_promotion(standing, entries, version), after=entries)
    made_by = champion(entries)
    seq = made_by.seq if made_by else None
    text = f"version {version} is champion: {standing.reason}"
    return _move(store, standing, State.WATCH, "promoted", text, now=now, ledger_seq=seq, challenger=version)


def _is_another(standing: Standing, live: str | None) -> bool:
    """The champion arm of an experiment may be retrained until the last moment."""
    return standing.plan.terms.kind == "refresh" and live != standing.champion


def _own_promotion(entries: Sequence[Entry], standing: Standing) -> Entry | None:
    own = [e for e in entries if e.event is LedgerEvent.PROMOTED and e.actor == ledger_actor(standing)]
    return own[-1] if own else None


def _promotion(standing: Standing, entries: Sequence[Entry], version: str) -> list[Draft]:
    made_by = champion(entries)
    registered = next((e for e in entries if e.event is LedgerEvent.REGISTERED and e.version == version), None)
    run_id = registered.run_id if registered else ""
    digests = [e.record_digest for e in entries if run_id and e.run_id == run_id and e.record_digest]
    days = [e.day for e in (registered, made_by) if e and e.day]
    row = Draft(
        event=LedgerEvent.PROMOTED,
        actor=ledger_actor(standing),
        reason=standing.reason or "the rollout promoted it",
        version=version,
        previous_version=ledger_standing(entries).champion,
        day=max(days),
        run_id=run_id,
        verdict=registered.verdict if registered else "",
        record_digest=digests[-1] if digests else "",
    )
    if version in versions(entries, LedgerEvent.REGISTERED):
        return [row]
    copied = row.model_copy(
        update={
            "event": LedgerEvent.REGISTERED,
            "previous_version": None,
            "reason": f"{standing.challenger} won as the challenger of an experiment",
        }
    )
    return [copied, row]


def _roll_back(store: RolloutStore, ledger: Ledger, standing: Standing, *, now: datetime.datetime) -> Standing:
    entries = ledger.entries()
    live, made_by, own = ledger_standing(entries).champion, champion(entries), _own_promotion(entries, standing)
    seq = None
    if live is not None and made_by is not None and live in (standing.challenger, own.version if own else None):
        draft = Draft(
            event=LedgerEvent.ROLLED_BACK,
            actor=ledger_actor(standing),
            reason=standing.reason or "the rollout rolled it back",
            version=standing.champion,
            previous_version=live,
            day=made_by.day,
        )
        seq = ledger.append(draft, after=entries)[-1].seq
    return _move(store, standing, State.ROLLED_BACK, "rolled_back", standing.reason, now=now, ledger_seq=seq)


def _move(
    store: RolloutStore,
    standing: Standing,
    state: State,
    code: str,
    reason: str,
    *,
    now: datetime.datetime,
    ledger_seq: int | None = None,
    challenger: str | None = None,
) -> Standing:
    decision = Decision(state=state, stage=standing.stage, code=code, reason=reason, moves=True)
    change = Change(now=now, decision=decision, challenger=challenger if challenger != standing.challenger else None)
    return store.apply(standing, change, actor=ACTOR, ledger_seq=ledger_seq)
