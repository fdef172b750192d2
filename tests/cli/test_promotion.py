"""Champion, rollback and promote with nothing but PostgreSQL running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.ledger.entries import Draft, Event, standing
from components.ledger.ledger import Ledger
from pipelines import promotion
from pipelines.errors import SpecError, TransientError
from pipelines.settings import Settings
from tests import postgres
from tests.components.ledger.writing import accepted, draft


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if postgres.binaries() is None:
        pytest.skip("PostgreSQL's binaries come with the services environment, which is not built")
    with postgres.postgres_server() as server:
        yield server.new_database()


@pytest.fixture
def ledger(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Ledger:
    """Version 2 is champion after 1, and 3 ended inconclusive; MLflow is down."""
    monkeypatch.setenv("DAYBREAK_DATABASE_URL", url)
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path))
    monkeypatch.setenv("DAYBREAK_USER", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    ledger = Ledger.open(Settings.from_environment(), request.node.name)
    waiting = draft(Event.REGISTERED, "3", 7, verdict="inconclusive")
    ledger.append(*accepted("1", 5), *accepted("2", 6), waiting, after=())
    return ledger


def last(ledger: Ledger) -> Draft:
    return ledger.entries()[-1]


def test_rolling_back_works_with_mlflow_down_and_ends_where_there_is_no_more(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    promotion.rollback(ledger.model, reason=" revenue  fell ")
    row = last(ledger)
    assert (row.event, row.version, row.previous_version) == (Event.ROLLED_BACK, "1", "2")
    assert (row.actor, row.reason) == ("ann", "revenue fell")
    assert standing(ledger.entries()).champion == "1"
    told = capsys.readouterr().out
    assert "MLflow does not show it yet" in told and "version 1 is champion" in told
    with pytest.raises(SpecError, match="no champion before version 1"):
        promotion.rollback(ledger.model, reason="again")


def test_a_challenger_is_approved_once(ledger: Ledger) -> None:
    promotion.promote(ledger.model, version="3", reason="wide interval, right direction")
    row = last(ledger)
    assert (row.event, row.version, row.previous_version, row.actor) == (Event.PROMOTED, "3", "2", "ann")
    assert standing(ledger.entries()).champion == "3"
    with pytest.raises(SpecError, match="champion already"):
        promotion.promote(ledger.model, version="3", reason="again")


def test_an_old_version_that_is_approved_is_champion_now(ledger: Ledger) -> None:
    promotion.promote(ledger.model, version="1", reason="the best we had")
    assert standing(ledger.entries()).champion == "1"


def test_wrong_names_versions_and_reasons_change_nothing(ledger: Ledger) -> None:
    before = ledger.entries()
    with pytest.raises(SpecError, match="was champion: 1. Received: --to 3"):
        promotion.rollback(ledger.model, reason="r", to="3")
    with pytest.raises(SpecError, match="registered one: 3, 2, 1. Received: --version 9"):
        promotion.promote(ledger.model, version="9", reason="r")
    for reason in ("", "  "):
        with pytest.raises(SpecError, match="--reason"):
            promotion.rollback(ledger.model, reason=reason)
    for command in (
        lambda: promotion.champion("unknown"),
        lambda: promotion.rollback("unknown", reason="r"),
        lambda: promotion.promote("unknown", version="1", reason="r"),
    ):
        with pytest.raises(SpecError, match="Received: unknown"):
            command()
    with pytest.raises(SpecError, match="--at yesterday"):
        promotion.champion(ledger.model, at="yesterday")
    assert ledger.entries() == before


def test_the_champion_of_now_and_of_a_time(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    promotion.champion(ledger.model)
    now = capsys.readouterr().out
    assert f"{ledger.model}: version 2 is champion since " in now
    assert "why      promoted by ann: because" in now
    assert "a rollback leads to 1" in now and "challenger is version 3" in now
    promotion.champion(ledger.model, at=ledger.entries()[1].time.isoformat())
    assert "version 1 is champion" in capsys.readouterr().out
    promotion.champion(ledger.model, at="2020-01-01")
    assert "no champion" in capsys.readouterr().out
    promotion.champion(ledger.model, history=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["seq", "1", "2", "3", "4", "5"]
    assert "inconclusive" in lines[-1]


def test_reconciling_says_that_mlflow_is_down(ledger: Ledger) -> None:
    with pytest.raises(TransientError, match="registry does not answer"):
        promotion.champion(ledger.model, reconcile=True)
