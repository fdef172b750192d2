"""Ticks over a real PostgreSQL: what a rollout does to the ledger, the split document and the aliases."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest

from components.ledger.entries import Draft, Event, standing
from components.ledger.ledger import Ledger
from components.rollout import commands, ticking
from components.rollout.deciding import Decision
from components.rollout.deployment import Deployment
from components.rollout.events import Change, replay
from components.rollout.projection import TAG
from components.rollout.snapshot import Snapshot
from components.rollout.standing import Standing, State
from components.rollout.ticking import Ticker, without_snapshot
from pipelines.settings import Settings
from pipelines.spec import Spec
from tests.components.ledger.writing import JANUARY, accepted
from tests.components.rollout.registry import FileRegistry
from tests.components.rollout.ticks import champion_and_candidates, make_ticker, split_of, step_on
from tests.components.rollout.writing import NOON, after, begin, plan


@pytest.fixture(autouse=True)
def _stepping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticking, "decide", step_on)


@pytest.fixture
def at_work(settings: Settings, ledger: Ledger) -> tuple[Ticker, FileRegistry]:
    """Version 1 is champion, 2 is queued."""
    champion_and_candidates(ledger, "2")
    ticker, registry = make_ticker(settings, ledger)
    begin(ticker.store, ledger.model)
    return ticker, registry


def active(ticker: Ticker) -> Standing:
    found = ticker.store.active(ticker.model)
    assert found is not None
    return found


def newest(ticker: Ticker) -> Standing:
    return ticker.store.standings(ticker.model)[-1]


def champion(ticker: Ticker) -> str | None:
    return standing(ticker.ledger.entries()).champion


def apply(ticker: Ticker, decision: Decision, *, minutes: float = 0) -> Standing:
    return ticker.store.apply(active(ticker), Change.of(decision, now=after(minutes)), actor="ann")


def test_a_candidate_goes_all_the_way(at_work: tuple[Ticker, FileRegistry]) -> None:
    ticker, registry = at_work
    seen = []
    for minute in range(7):
        report = ticker.tick(now=after(minute))
        assert report.problems == []
        split = split_of(ticker)
        state, experiment = newest(ticker).state, split.experiment
        seen.append((state, split.champion, experiment and (experiment.share, experiment.shadow)))
        assert split.version == minute + 1 and split.written == after(minute).timestamp()
        assert {model.version for model in split.models} == ({"1", "2"} if minute < 5 else {"2"})
    assert seen == [
        (State.SHADOW, "1", (0.0, True)),
        (State.RAMP, "1", (0.05, False)),
        (State.RAMP, "1", (0.2, False)),
        (State.RAMP, "1", (0.5, False)),
        (State.WATCH, "2", None),
        (State.PROMOTED, "2", None),
        (State.PROMOTED, "2", None),
    ]
    row = ticker.ledger.entries()[-1]
    assert (row.event, row.version, row.previous_version) == (Event.PROMOTED, "2", "1")
    assert row.actor == f"rollout {newest(ticker).id}" and row.day == JANUARY.replace(day=6)
    events = ticker.store.events(newest(ticker).id)
    assert [event.ledger_seq for event in events if event.to_state is State.WATCH] == [row.seq]
    assert replay(events) == newest(ticker)
    assert all(event.snapshot for event in events if event.code == "stepped")
    assert registry.aliases() == {"champion": "2", "challenger": "2", "previous": "1"}
    assert registry.tags("2")[TAG] == f"{newest(ticker).id}: promoted"


def test_ticking_again_changes_nothing_but_the_version(at_work: tuple[Ticker, FileRegistry]) -> None:
    ticker, _ = at_work
    ticker.tick(now=NOON)
    paused = apply(ticker, commands.pause(active(ticker), reason="lunch"))
    for minute in (1, 2, 3):
        assert ticker.tick(now=after(minute)).lines == []
    assert active(ticker) == paused
    assert split_of(ticker).version == 4
    experiment = split_of(ticker).experiment
    assert experiment is not None and experiment.shadow, "HOLD keeps the split"


def test_what_a_person_paused_only_a_person_resumes(at_work: tuple[Ticker, FileRegistry]) -> None:
    ticker, _ = at_work
    ticker.tick(now=NOON)
    apply(ticker, commands.pause(active(ticker), reason="lunch"))
    ticker.tick(now=after(1))
    assert active(ticker).state is State.HOLD
    apply(ticker, commands.resume(active(ticker), reason="back"), minutes=2)
    ticker.tick(now=after(3))
    assert active(ticker).state is State.RAMP


@pytest.mark.parametrize("ticks", range(1, 6))
def test_an_abort_takes_it_back_from_everywhere_with_the_metrics_down(
    at_work: tuple[Ticker, FileRegistry], ticks: int
) -> None:
    ticker, registry = at_work
    for minute in range(ticks):
        ticker.tick(now=after(minute))
    was_champion = champion(ticker)
    assert was_champion == ("2" if ticks == 5 else "1")
    apply(ticker, commands.abort(active(ticker), reason="revenue fell"), minutes=ticks)
    registry.down = True
    report = dataclasses.replace(ticker, measure=_broken).tick(now=after(ticks))
    assert newest(ticker).state is State.ROLLED_BACK and newest(ticker).reason == "revenue fell"
    assert (champion(ticker), split_of(ticker).champion, split_of(ticker).experiment) == ("1", "1", None)
    assert "MLflow does not show it yet" in report.problems[0]
    rolled_back = [entry for entry in ticker.ledger.entries() if entry.event is Event.ROLLED_BACK]
    assert len(rolled_back) == (1 if ticks == 5 else 0)
    registry.down = False
    assert ticker.tick(now=after(ticks + 1)).problems == []
    assert registry.aliases()["champion"] == "1"


def _broken(standing: Standing, now: datetime.datetime, spec: Spec) -> Snapshot:
    raise OSError(f"disk of {standing.id} is gone at {now} for {spec.name}")


def test_without_snapshots_it_holds_after_a_while_and_then_goes_back(at_work: tuple[Ticker, FileRegistry]) -> None:
    ticker, _ = at_work
    ticker.tick(now=NOON)
    broken = dataclasses.replace(ticker, measure=_broken)
    assert "no snapshot: OSError" in broken.tick(now=after(10)).problems[0]
    assert active(ticker).state is State.SHADOW, "an hour may pass, as for gateways that hear nothing"
    broken.tick(now=after(61))
    assert (active(ticker).state, active(ticker).held) == (State.HOLD, State.SHADOW)
    broken.tick(now=after(60 * 48))
    assert active(ticker).state is State.HOLD
    broken.tick(now=after(60 * 50))
    assert newest(ticker).state is State.ROLLED_BACK
    assert [event.code for event in ticker.store.events(newest(ticker).id)][-3:] == [
        "metrics_failed",
        "held_too_long",
        "rolled_back",
    ]


def test_a_hold_heals_when_snapshots_come_again(at_work: tuple[Ticker, FileRegistry]) -> None:
    ticker, _ = at_work
    ticker.tick(now=NOON)
    dataclasses.replace(ticker, measure=_broken).tick(now=after(61))
    assert active(ticker).state is State.HOLD
    ticker.tick(now=after(66))
    assert active(ticker).state is State.SHADOW


def test_patience_begins_with_the_last_snapshot() -> None:
    held = Standing(
        id="toy-1", model="toy", plan=plan(), champion="1", challenger="2", state=State.RAMP, entered=NOON, stage=1
    )
    assert not without_snapshot(held, measured=after(60), now=after(119)).moves
    late = without_snapshot(held, measured=after(60), now=after(121))
    assert (late.state, late.held, late.stage) == (State.HOLD, State.RAMP, 1)


def test_the_queued_one_starts_when_nobody_is_active_against_the_champion_of_then(
    at_work: tuple[Ticker, FileRegistry],
) -> None:
    ticker, registry = at_work
    ticker.tick(now=NOON)
    rows = ticker.ledger.entries()
    ticker.ledger.append(*(row for row in accepted("3", 7) if row.event is Event.REGISTERED), after=rows)
    begin(ticker.store, ticker.model, "3")
    for minute in range(1, 5):
        ticker.tick(now=after(minute))
        assert ticker.store.queued(ticker.model) is not None
        assert registry.aliases()["challenger"] == "2", "whom users meet, not the newest"
    ticker.tick(now=after(5))
    assert (active(ticker).challenger, active(ticker).champion, active(ticker).state) == ("3", "2", State.SHADOW)
    assert ticker.store.queued(ticker.model) is None


def test_nobody_meets_a_model_that_cannot_be_laid_out(at_work: tuple[Ticker, FileRegistry]) -> None:
    ticker, registry = at_work
    registry.down = True
    report = ticker.tick(now=NOON)
    assert "waits for its model" in report.problems[0]
    assert newest(ticker).state is State.GATED
    assert not Deployment(ticker.settings, ticker.model).has("2")
    registry.down = False
    ticker.tick(now=after(1))
    registry.down = True
    ticker.tick(now=after(2))
    assert newest(ticker).state is State.RAMP, "MLflow is not asked for what is laid out"
    assert split_of(ticker).written == after(2).timestamp()


def test_approval_is_waited_for(settings: Settings, ledger: Ledger) -> None:
    champion_and_candidates(ledger, "2")
    ticker, _ = make_ticker(settings, ledger)
    waiting = begin(ticker.store, ledger.model, approval=True)
    for minute in range(2):
        ticker.tick(now=after(minute))
        assert newest(ticker).state is State.AWAIT_APPROVAL
    assert split_of(ticker).experiment is None
    found = ticker.store.queued(ledger.model)
    assert found is not None and found.id == waiting.id
    ticker.store.apply(found, Change.of(commands.approve(found, reason="fine"), now=after(3)), actor="ann")
    ticker.tick(now=after(4))
    assert newest(ticker).state is State.RAMP


def _by_hand(ticker: Ticker, event: Event, version: str) -> None:
    row = Draft(
        event=event,
        actor="ann",
        reason="r",
        version=version,
        previous_version=champion(ticker),
        day=JANUARY.replace(day=6),
    )
    ticker.ledger.append(row, after=ticker.ledger.entries())


def test_a_promotion_by_hand_ends_the_ramp(at_work: tuple[Ticker, FileRegistry]) -> None:
    ticker, _ = at_work
    ticker.tick(now=NOON)
    _by_hand(ticker, Event.PROMOTED, "2")
    rows = len(ticker.ledger.entries())
    ticker.tick(now=after(1))
    assert newest(ticker).state is State.WATCH
    assert len(ticker.ledger.entries()) == rows, "promoted once"


def test_another_champion_ends_the_comparison(at_work: tuple[Ticker, FileRegistry]) -> None:
    ticker, _ = at_work
    ticker.tick(now=NOON)
    _by_hand(ticker, Event.PROMOTED, "3")
    ticker.tick(now=after(1))
    assert newest(ticker).state is State.ROLLED_BACK
    assert champion(ticker) == "3" == split_of(ticker).champion


def test_a_rollback_by_hand_ends_the_watch(at_work: tuple[Ticker, FileRegistry]) -> None:
    ticker, _ = at_work
    for minute in range(5):
        ticker.tick(now=after(minute))
    assert newest(ticker).state is State.WATCH
    _by_hand(ticker, Event.ROLLED_BACK, "1")
    rows = len(ticker.ledger.entries())
    ticker.tick(now=after(5))
    assert newest(ticker).state is State.ROLLED_BACK
    assert (champion(ticker), len(ticker.ledger.entries())) == ("1", rows)


def test_a_rollback_by_hand_before_the_promotion_was_noted_is_not_undone(
    at_work: tuple[Ticker, FileRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticker, _ = at_work
    for minute in range(4):
        ticker.tick(now=after(minute))
    apply(ticker, commands.force(active(ticker), reason="now"))
    append = Ledger.append

    def and_then_back(self: Ledger, *drafts: Draft, **more: Any) -> Any:
        monkeypatch.undo()
        append(self, *drafts, **more)
        _by_hand(ticker, Event.ROLLED_BACK, "1")
        raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "append", and_then_back)
    with pytest.raises(KeyboardInterrupt):
        ticker.tick(now=after(5))
    ticker.tick(now=after(6))
    assert (newest(ticker).state, champion(ticker)) == (State.ROLLED_BACK, "1")


def test_an_alias_moved_by_hand_holds_once(at_work: tuple[Ticker, FileRegistry]) -> None:
    ticker, registry = at_work
    ticker.tick(now=NOON)
    registry.set_alias("champion", "2")
    ticker.tick(now=after(1))
    assert registry.aliases()["champion"] == "1", "put back"
    ticker.tick(now=after(2))
    assert (active(ticker).state, active(ticker).held) == (State.HOLD, State.RAMP)
    assert "@champion was moved by hand to version 2" in active(ticker).reason
    ticker.tick(now=after(3))
    assert active(ticker).state is State.HOLD, "a person has a look first"
    apply(ticker, commands.resume(active(ticker), reason="it was me"), minutes=4)
    ticker.tick(now=after(5))
    assert active(ticker).state is State.RAMP
    codes = [event.code for event in ticker.store.events(active(ticker).id)]
    assert codes.count("alias_moved") == 1


def test_a_holdback_keeps_the_champion_of_the_quarter(settings: Settings, ledger: Ledger) -> None:
    champion_and_candidates(ledger, "2")
    terms: dict[str, Any] = {"holdback": 0.02, "stages": (0.05, 0.2, 0.45)}
    ticker, registry = make_ticker(settings, ledger, **terms)
    begin(ticker.store, ledger.model, **terms)
    for minute in range(7):
        ticker.tick(now=after(minute))
    held = split_of(ticker).holdback
    assert held is not None
    assert (held.version, held.share, held.salt) == ("1", 0.02, f"{ledger.model}-2026Q1")
    assert split_of(ticker).champion == "2" and champion(ticker) == "2"
    assert registry.aliases(("holdback",)) == {"holdback": "1"}
    ticker.tick(now=datetime.datetime(2026, 4, 1, tzinfo=datetime.UTC))
    later = split_of(ticker).holdback
    assert later is not None and (later.version, later.salt) == ("2", f"{ledger.model}-2026Q2")


def test_without_a_champion_nothing_is_served(settings: Settings, ledger: Ledger) -> None:
    ticker, _ = make_ticker(settings, ledger)
    assert ticker.tick(now=NOON).problems == [f"{ledger.model} has no champion yet: nothing is served"]


def test_an_experiment_keeps_its_arms_while_both_recipes_are_retrained(
    settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Ledger(ledger.engine, f"{ledger.model}_b")
    champion_and_candidates(ledger)
    other.append(*accepted("7", 5), after=())
    terms: dict[str, Any] = {"kind": "experiment", "challenger": other.model}
    ticker, registry = make_ticker(settings, ledger, **terms)
    begin(ticker.store, ledger.model, f"{other.model}@7", **terms)
    ticker.tick(now=NOON)
    salt = active(ticker).id
    other.append(*accepted("8", 6), after=other.entries())
    ledger.append(*accepted("2", 6), after=ledger.entries())
    ticker.tick(now=after(1))
    experiment = split_of(ticker).experiment
    assert experiment is not None
    assert (split_of(ticker).champion, experiment.challenger, experiment.rollout_id) == ("2", f"{other.model}@8", salt)
    assert [e.code for e in ticker.store.events(salt)].count("arm_retrained") == 1
    assert registry.aliases()["challenger"] == "2", "a version of another recipe has no alias here"
    monkeypatch.setattr(ticking, "adopt", lambda connect, model, version: "3")
    for minute in range(2, 5):
        ticker.tick(now=after(minute))
    assert (newest(ticker).state, newest(ticker).challenger, champion(ticker)) == (State.WATCH, "3", "3")
    assert [e.event for e in ledger.entries() if e.version == "3"] == [Event.REGISTERED, Event.PROMOTED]
    assert replay(ticker.store.events(salt)) == newest(ticker)
