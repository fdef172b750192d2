"""Workers killed at injection points and at random; the whole table: `python -m tests.components.rollout.killing`."""

from __future__ import annotations

import pytest

from components.ledger.ledger import Ledger
from components.rollout import ticking
from pipelines.settings import Settings
from tests.components.rollout.killing import Kill, all_kills, trial
from tests.components.rollout.ticks import make_ticker

EVERY_POINT = [  # the first time is while it starts, the second while it moves
    kill for kill in all_kills() if kill.times == 2 and kill.before
]


@pytest.fixture(autouse=True)
def _decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticking, "decide", ticking.decide)  # a trial replaces it


@pytest.mark.parametrize("kill", EVERY_POINT, ids=lambda kill: f"{kill.owner.__name__.split('.')[-1]}.{kill.name}")
def test_after_a_kill_one_more_tick_makes_all_agree(settings: Settings, ledger: Ledger, kill: Kill) -> None:
    make_ticker(settings, ledger)
    kills, wrong = trial(settings, ledger, seed=EVERY_POINT.index(kill), kill=kill)
    assert kills <= 1 and wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_after_kills_at_random_one_more_tick_makes_all_agree(settings: Settings, ledger: Ledger, seed: int) -> None:
    kills, wrong = trial(settings, ledger, seed=1000 + seed)
    assert kills > 0 and wrong == []
