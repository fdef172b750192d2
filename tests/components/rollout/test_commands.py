from __future__ import annotations

from collections.abc import Callable

import pytest

from components.rollout import commands
from components.rollout.deciding import Decision
from components.rollout.standing import FINAL, Standing, State
from pipelines.errors import SpecError
from tests.components.rollout.writing import NOON, plan


def standing(state: State, *, stage: int = 0, held: State | None = None, shadow_hours: float = 1) -> Standing:
    terms = plan(shadow_hours=shadow_hours)
    where = {"state": state, "stage": stage, "held": held}
    return Standing(id="toy-1", model="toy", plan=terms, champion="1", challenger="2", entered=NOON, **where)


VERBS: dict[str, Callable[..., Decision]] = {
    "approve": commands.approve,
    "pause": commands.pause,
    "resume": commands.resume,
    "abort": commands.abort,
    "force": commands.force,
    "force --promote": commands.force_promotion,
}


@pytest.mark.parametrize(
    ("verb", "at", "to"),
    [
        ("approve", standing(State.AWAIT_APPROVAL), (State.SHADOW, 0)),
        ("approve", standing(State.AWAIT_APPROVAL, shadow_hours=0), (State.RAMP, 0)),
        ("pause", standing(State.RAMP, stage=1), (State.HOLD, 1)),
        ("resume", standing(State.HOLD, stage=1, held=State.RAMP), (State.RAMP, 1)),
        ("resume", standing(State.HOLD, held=State.WATCH), (State.WATCH, 0)),
        ("abort", standing(State.GATED), (State.ROLLED_BACK, 0)),
        ("abort", standing(State.RAMP, stage=2), (State.ROLLING_BACK, 2)),
        ("abort", standing(State.PROMOTING), (State.ROLLING_BACK, 0)),
        ("abort", standing(State.WATCH), (State.ROLLING_BACK, 0)),
        ("force", standing(State.SHADOW), (State.RAMP, 0)),
        ("force", standing(State.RAMP, stage=1), (State.RAMP, 2)),
        ("force", standing(State.RAMP, stage=2), (State.PROMOTING, 2)),
        ("force", standing(State.WATCH), (State.PROMOTED, 0)),
        ("force --promote", standing(State.SHADOW), (State.PROMOTING, 0)),
    ],
)
def test_a_command_leads_on(verb: str, at: Standing, to: tuple[State, int]) -> None:
    decision = VERBS[verb](at, reason="ann knows")
    assert (decision.state, decision.stage) == to
    assert decision.reason == "ann knows" and decision.moves


def test_a_pause_remembers_where_it_came_from() -> None:
    assert commands.pause(standing(State.WATCH), reason="r").held is State.WATCH


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("verb", VERBS)
def test_a_command_that_does_not_fit_says_what_does(verb: str, state: State) -> None:
    at = standing(state, held=State.RAMP if state is State.HOLD else None)
    allowed = commands.possible(at)
    if verb in allowed:
        VERBS[verb](at, reason="r")
        return
    with pytest.raises(SpecError, match=f"Received: {state}") as error:
        VERBS[verb](at, reason="r")
    assert ", ".join(allowed) in str(error.value)
    if state in FINAL:
        assert allowed == () and "it has ended" in str(error.value)
