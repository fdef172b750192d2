"""What a person does to a rollout is an event with nothing but PostgreSQL running; then a tick carries it out."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from components.ledger.entries import Event
from components.ledger.ledger import Ledger
from components.rollout.events import replay
from components.rollout.standing import State
from components.rollout.store import RolloutStore
from pipelines import rollouts
from pipelines.errors import DataError, SpecError
from pipelines.manifest import Manifest, write_manifest
from pipelines.settings import Settings
from pipelines.spec import Rollout, load_spec
from tests import postgres
from tests.components.ledger.writing import accepted, draft
from tests.components.rollout.writing import NOON, begin, lead, plan


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if postgres.binaries() is None:
        pytest.skip("PostgreSQL's binaries come with the services environment, which is not built")
    with postgres.postgres_server() as server:
        yield server.new_database()


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Commands of the ML environment that would have followed."""
    found: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(rollouts, "become_ml", lambda module, arguments: found.append((module, arguments)))
    return found


@pytest.fixture
def ledger(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, became: Any
) -> Ledger:
    """Version 1 is champion, 2 and 3 are registered; a compiled pipeline with a rollout."""
    monkeypatch.setenv("DAYBREAK_DATABASE_URL", url)
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path))
    monkeypatch.setenv("DAYBREAK_USER", "ann")
    settings, name = Settings.from_environment(), f"toy{zlib.crc32(request.node.name.encode())}"
    spec = load_spec("shop").model_copy(update={"name": name, "rollout": Rollout(unit="user_id")})
    manifest = Manifest(pipeline=name, ir="", ir_digest="", spec=spec.model_dump(mode="json"), nodes=())
    write_manifest(manifest, settings.manifests / f"{name}.json")
    ledger = Ledger.open(settings, name)
    waiting = [draft(Event.REGISTERED, version, 6, verdict="inconclusive") for version in "23"]
    ledger.append(*accepted("1", 5), *waiting, after=())
    return ledger


def store(ledger: Ledger) -> RolloutStore:
    return RolloutStore(ledger.engine)


def test_started_by_hand_against_the_champion(ledger: Ledger, became: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rollouts.start(ledger.model, version="2", now="2026-01-06T12:00")
    queued = store(ledger).queued(ledger.model)
    assert queued is not None and (queued.challenger, queued.champion, queued.state) == ("2", "1", State.GATED)
    assert became == [("components.rollout", ["tick", ledger.model, "--now", "2026-01-06T12:00:00+00:00"])]
    assert store(ledger).events(queued.id)[0].actor == "ann"
    assert "version 2 is queued against version 1" in capsys.readouterr().out
    rollouts.start(ledger.model)
    newest = store(ledger).queued(ledger.model)
    assert newest is not None and newest.challenger == "3", "the newest registered one by default"


@pytest.mark.parametrize("version", ["1", "9"])
def test_neither_the_champion_nor_an_unknown_version_is_started(ledger: Ledger, version: str) -> None:
    with pytest.raises(SpecError, match=f"`--version` must be .*: 3, 2. Received: {version}"):
        rollouts.start(ledger.model, version=version)


def test_the_words_of_a_person_are_events(ledger: Ledger, became: Any, capsys: pytest.CaptureFixture[str]) -> None:
    begun = lead(store(ledger), begin(store(ledger), ledger.model), State.SHADOW, State.RAMP)
    for verb, state in (
        (rollouts.pause, State.HOLD),
        (rollouts.resume, State.RAMP),
        (rollouts.force, State.RAMP),
        (rollouts.abort, State.ROLLING_BACK),
    ):
        verb(ledger.model, reason=" for  a reason ")
        row = store(ledger).standing(begun.id)
        assert row is not None and row.state is state
        last = store(ledger).events(begun.id)[-1]
        assert (last.actor, last.reason) == ("ann", "for a reason")
    assert row.stage == 1 and replay(store(ledger).events(begun.id)) == row
    assert became == [("components.rollout", ["tick", ledger.model])] * 4
    rollouts.events(ledger.model)
    assert "aborted" in capsys.readouterr().out
    with pytest.raises(SpecError, match="possible now: nothing"):
        rollouts.abort(ledger.model, reason="again")


@pytest.mark.parametrize("simulated", [True, False])
def test_the_clock_of_a_simulated_pipeline_stays_where_its_last_tick_was(ledger: Ledger, simulated: bool) -> None:
    declared = plan().model_copy(update={"simulated": simulated})
    queued = store(ledger).begin(
        model=ledger.model, plan=declared, champion="1", challenger="2", actor="test", reason="accepted", now=NOON
    )
    lead(store(ledger), queued, State.SHADOW, State.RAMP)
    rollouts.pause(ledger.model, reason="r")
    entered = store(ledger).standings(ledger.model)[-1].entered
    assert (entered - NOON < timedelta(hours=1)) is simulated


def test_status_says_where_it_stands_and_what_fits(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    lead(store(ledger), begin(store(ledger), ledger.model), State.SHADOW, State.RAMP)
    rollouts.status(ledger.model)
    told = capsys.readouterr().out
    assert "ramp 5% in each arm, stage 1 of 3" in told
    assert "versions  2 against 1" in told and "possible  pause, force, force --promote, abort" in told


def test_wrong_names_reasons_and_times_change_nothing(ledger: Ledger) -> None:
    with pytest.raises(SpecError, match="Received: nowhere"):
        rollouts.status("nowhere")
    begun = begin(store(ledger), ledger.model)
    with pytest.raises(SpecError, match="--reason"):
        rollouts.abort(ledger.model, reason="  ")
    with pytest.raises(SpecError, match="--now later"):
        rollouts.abort(ledger.model, reason="r", now="later")
    with pytest.raises(SpecError, match="`--rollout` must be one of"):
        rollouts.abort(ledger.model, reason="r", rollout="other")
    assert store(ledger).standing(begun.id) == begun


def test_a_gateway_needs_a_split_document(ledger: Ledger, became: Any, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="rollout reconcile"):
        rollouts.serve(ledger.model)
    split = tmp_path / "serving" / ledger.model / "split.json"
    split.parent.mkdir(parents=True)
    split.touch()
    rollouts.serve(ledger.model, port=1234)
    [(module, words)] = became
    assert module == "components.gateway"
    assert words == ["--split", str(split), "--log", str(tmp_path / "exposures"), "--port", "1234"]


def test_a_plan_rests_on_a_snapshot(ledger: Ledger) -> None:
    with pytest.raises(DataError, match="rests on a snapshot"):
        rollouts.plan(ledger.model, users_per_day=1000)
