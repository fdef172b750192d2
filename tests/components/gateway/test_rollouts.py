"""The Rollouts page: a process of its own, one at a time, and never in the way of predictions."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from components.gateway import rollouts
from components.gateway.rollouts import RolloutPages
from components.serving.asgi import HttpError
from tests.components.gateway.conftest import DECIDE, Gateway, decide


def test_the_page_is_drawn_by_a_process_whose_database_is_missing(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path))
    monkeypatch.delenv("DAYBREAK_DATABASE_URL", raising=False)
    answer = gateway.ask_once("GET", "/rollouts")
    assert answer.status == 200
    assert "No database is known" in answer.text


def test_predictions_are_answered_while_a_page_is_drawn(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    may_end, drawn = threading.Event(), []

    def draw(rollout: str) -> bytes:
        assert may_end.wait(20)
        drawn.append(rollout)
        return b"<html></html>"

    monkeypatch.setattr(rollouts, "_draw", draw)

    async def ask() -> None:
        pages = [asyncio.create_task(gateway.ask("GET", "/rollouts/shop-1-a")) for _ in range(3)]
        await asyncio.sleep(0)
        answer = await gateway.ask("POST", DECIDE, decide("u1", candidates=4, count=1))
        assert answer.status == 200
        may_end.set()
        assert [page.status for page in await asyncio.gather(*pages)] == [200, 200, 200]

    gateway.run(ask)
    assert drawn == ["shop-1-a"], "those who wait get the page of the first"


@pytest.mark.parametrize(
    "path", ["/rollouts/../etc", "/rollouts/a/b", "/rollouts/a b", "/rolloutsx", "/rollouts/" + "a" * 300]
)
def test_only_ids_are_asked_for(path: str) -> None:
    assert RolloutPages().find("GET", path) is None
    assert RolloutPages().find("POST", "/rollouts") is None


def test_a_page_that_cannot_be_drawn_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts.sys, "executable", "/bin/false")
    with pytest.raises(HttpError, match="serves as before"):
        rollouts._draw("")
