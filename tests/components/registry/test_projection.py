"""Aliases in MLflow follow the ledger, whoever moved them and whenever a writer was killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from components.ledger.entries import Draft, Event, standing
from components.ledger.ledger import Ledger
from components.registry.projection import reconcile
from components.registry.versions import STATUS, Registry
from pipelines.errors import DataError
from tests.components.ledger.writing import accepted, draft


@pytest.fixture
def ledger(registry: Registry, ledger: Ledger) -> Ledger:
    """With three versions in MLflow that nothing points at."""
    registry.client.create_registered_model(registry.name)
    for _ in range(3):
        registry.client.create_model_version(registry.name, source="s3://nowhere/model")
    return ledger


def write(ledger: Ledger, *drafts: Draft) -> None:
    ledger.append(*drafts, after=ledger.entries())


def agree(registry: Registry, ledger: Ledger) -> bool:
    return registry.aliases() == standing(ledger.entries()).aliases


def test_aliases_and_tags_follow_the_ledger(registry: Registry, ledger: Ledger) -> None:
    write(ledger, *accepted("1", 5), *accepted("2", 6))
    assert reconcile(registry, ledger) == []
    assert registry.aliases() == {"champion": "2", "challenger": "2", "previous": "1"}
    write(ledger, draft(Event.ROLLED_BACK, "1", 6, before="2"), draft(Event.REGISTERED, "3", 7))
    assert reconcile(registry, ledger) == []
    assert registry.aliases() == {"champion": "1", "challenger": "3", "previous": None}
    tags = {number: registry.version(number).tags[STATUS] for number in "123"}
    assert tags == {"1": "promoted", "2": "rolled_back", "3": "registered"}
    before = ledger.entries()
    assert reconcile(registry, ledger) == [] and ledger.entries() == before, "nothing to do, nothing written"


def test_an_alias_moved_by_hand_is_noticed_once_and_put_back(registry: Registry, ledger: Ledger) -> None:
    write(ledger, *accepted("1", 5), *accepted("2", 6))
    reconcile(registry, ledger)
    registry.client.set_registered_model_alias(registry.name, "champion", "1")
    registry.client.delete_registered_model_alias(registry.name, "previous")
    noticed = reconcile(registry, ledger, actor="ann")
    assert noticed == [
        "@champion was moved by hand to version 1; the ledger says version 2, put back",
        "@previous was moved by hand away; the ledger says version 1, put back",
    ]
    assert agree(registry, ledger)
    rows = [entry for entry in ledger.entries() if entry.event is Event.ALIAS_MOVED]
    assert [(row.actor, row.version, row.reason) for row in rows] == [
        ("ann", "1", noticed[0]),
        ("ann", None, noticed[1]),
    ]
    assert reconcile(registry, ledger) == []


def test_an_alias_moved_to_what_the_ledger_says_is_no_surprise(registry: Registry, ledger: Ledger) -> None:
    write(ledger, *accepted("1", 5))
    reconcile(registry, ledger)
    write(ledger, *accepted("2", 6))
    registry.client.set_registered_model_alias(registry.name, "champion", "2")
    assert reconcile(registry, ledger) == []


def test_a_champion_from_before_the_ledger_is_adopted(registry: Registry, ledger: Ledger) -> None:
    registry.client.set_registered_model_alias(registry.name, "champion", "2")
    assert "adopted" in reconcile(registry, ledger)[0]
    assert standing(ledger.entries()).champion == "2"
    assert agree(registry, ledger)
    assert reconcile(registry, ledger) == []


def test_a_version_that_mlflow_lost_is_told_and_stops_nothing(registry: Registry, ledger: Ledger) -> None:
    write(ledger, *accepted("1", 5), *accepted("2", 6))
    reconcile(registry, ledger)
    registry.client.delete_model_version(registry.name, "2")
    assert "version 2 stands in the ledger, and MLflow lost it" in reconcile(registry, ledger)
    count = len(ledger.entries())
    assert reconcile(registry, ledger) == ["version 2 stands in the ledger, and MLflow lost it"]
    assert len(ledger.entries()) == count
    with pytest.raises(DataError, match="registry lacks.*version 2"):
        registry.version("2")
    write(ledger, draft(Event.ROLLED_BACK, "1", 6, before="2"))
    reconcile(registry, ledger)
    assert registry.aliases()["champion"] == "1"


STEPS = [
    ("append", 1),
    ("turn", 1),
    ("remember", 1),
    *(("set_alias", n) for n in (1, 2, 3)),
    ("tag", 1),
    ("remember", 2),
]


@pytest.mark.parametrize(("step", "times"), STEPS)
def test_a_killed_writer_is_mended(
    registry: Registry, ledger: Ledger, step: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child moves version 2 to champion, and is killed before the n-th call of `step`."""
    write(ledger, *accepted("1", 5))
    reconcile(registry, ledger)

    def work() -> None:
        write(ledger, *accepted("2", 6))
        reconcile(registry, ledger)

    _killed(work, step, times, monkeypatch)
    mended = reconcile(registry, ledger)
    assert mended == [], "what a killed writer left is not taken for a hand's work"
    assert agree(registry, ledger)
    write(ledger, *accepted("3", 7))
    assert reconcile(registry, ledger) == [] and agree(registry, ledger)


def _killed(work: Callable[[], None], step: str, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    child = os.fork()
    if child == 0:
        left = [times]
        owner: Any = Registry if step in ("set_alias", "tag") else Ledger
        real = getattr(owner, step)

        def killed(*arguments: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **more)

        monkeypatch.setattr(owner, step, killed)
        try:
            work()
        finally:
            os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
