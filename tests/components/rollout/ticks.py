"""A ticker over a real database, whose snapshots and registry are the test's."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import msgspec

from components.assignment.split import Split, read_split
from components.ledger.ledger import Ledger
from components.rollout.deciding import Decision, decide
from components.rollout.deployment import split_path
from components.rollout.snapshot import Snapshot
from components.rollout.standing import Standing, State
from components.rollout.store import RolloutStore
from components.rollout.ticking import Ticker
from pipelines.settings import Settings
from pipelines.spec import Rollout, Spec, load_spec
from tests.components.ledger.writing import accepted, draft
from tests.components.rollout.registry import FileRegistry, fetch_into

NEXT = {
    State.SHADOW: (State.RAMP, 0),
    State.WATCH: (State.PROMOTED, 0),
}


def step_on(standing: Standing, snapshot: Snapshot | None, *, now: datetime.datetime) -> Decision:
    """One state or stage further with every tick, whatever was measured; the gates' part is the real one."""
    if snapshot is None:
        return decide(standing, snapshot, now=now)
    last = len(standing.plan.terms.stages) - 1
    state, stage = NEXT.get(standing.state, (standing.state, standing.stage))
    if standing.state is State.RAMP:
        state, stage = (State.RAMP, standing.stage + 1) if standing.stage < last else (State.PROMOTING, last)
    if standing.state is State.HOLD and standing.held and not standing.paused:
        state, stage = standing.held, standing.stage
    return Decision(
        state=state, stage=stage, code="stepped", reason="its turn", held=standing.held, moves=state is not State.HOLD
    )


def measure(standing: Standing, now: datetime.datetime, spec: Spec) -> Snapshot:
    assert spec.rollout
    return Snapshot(model=standing.model, rollout_id=standing.id, as_of=now)


def make_spec(model: str, **terms: Any) -> Spec:
    """That of the shop, under another name."""
    shop = load_spec("shop")
    rollout = Rollout(unit="user_id", **terms)
    return shop.model_copy(update={"name": model, "rollout": rollout})


def make_ticker(settings: Settings, ledger: Ledger, **terms: Any) -> tuple[Ticker, FileRegistry]:
    settings.state.mkdir(parents=True, exist_ok=True)
    registry = FileRegistry(settings.state / f"{ledger.model}-registry.json")
    ticker = Ticker(
        settings=settings,
        ledger=ledger,
        store=RolloutStore(ledger.engine),
        spec=make_spec(ledger.model, **terms),
        measure=measure,
        connect=registry.connect,
        fetch=fetch_into(registry),
    )
    return ticker, registry


def split_of(ticker: Ticker) -> Split:
    return read_split(split_path(ticker.settings, ticker.model))


def champion_and_candidates(ledger: Ledger, *candidates: str) -> None:
    """Version 1 is champion; `candidates` are registered."""
    from components.ledger.entries import Event

    rows = [draft(Event.REGISTERED, version, 6, verdict="accepted") for version in candidates]
    ledger.append(*accepted("1", 5), *rows, after=())


def content(path: Path) -> dict[str, str]:
    return {str(p.relative_to(path)): p.read_text() for p in sorted(path.rglob("*")) if p.is_file()}


def without_times(split: Split) -> Split:
    return msgspec.structs.replace(split, version=0, written=0)
