"""Three rules for the same rollout: ours, and two that are in wide use.

    result = follow_engine(traffic, terms)               # the real `decide`
    result.outcome, result.loss

- Threshold and failure limit, as in progressive delivery controllers: each check compares the newest day's point estimates, and
  so many failed checks roll back.
- Always valid, margin zero, shipped when inconclusive, as in safe-rollout features of experiment platforms: a two-sided
  confidence sequence rolls back when it is certain of harm, and whatever is not rolled back is shipped at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from components.inference.ratios import compare
from components.inference.sequences import confidence_sequence
from components.rollout.deciding import Decision, decide
from components.rollout.simulation.traffic import KPI, TICK_HOURS, Traffic
from components.rollout.standing import Plan, Standing, State
from pipelines.spec import Kpi
from pipelines.spec.rollout import Rollout as Terms

Outcome = Literal["promoted", "rolled_back", "inconclusive", "held"]
FAILURE_LIMIT = 2
"""Failed checks that are forgiven."""
TUNED_AT = 5000
"""Of the confidence sequence of the second rule: a usual default."""
ACCOUNTED_DAYS = 14
_BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
_ENDS: dict[State, Outcome] = {
    State.PROMOTING: "promoted",
    State.ROLLING_BACK: "rolled_back",
    State.INCONCLUSIVE: "inconclusive",
    State.HOLD: "held",
}


class Result(NamedTuple):
    outcome: Outcome
    code: str
    looks: int
    users: int
    """Mature ones of the treatment when it ended."""
    loss: float
    """Of the KPI of all users over 14 days, relative, against having known the better model."""


Rule = Callable[[Traffic, Terms, float], Result]


def follow_engine(traffic: Traffic, terms: Terms, margin: float) -> Result:
    """From the first stage; a HOLD ends it, for its fault does not heal here."""
    standing = _begin(terms, margin)
    ends = _BEGIN + timedelta(hours=terms.horizon_hours + 2 * TICK_HOURS)
    now = _BEGIN
    while now < ends:
        traffic.serve(terms.stages[standing.stage])
        now += timedelta(hours=TICK_HOURS)
        snapshot = traffic.snapshot(standing.id, now)
        decision = decide(standing, snapshot, now=now)
        standing = advance(standing, decision, now)
        if outcome := _ENDS.get(standing.state):
            users = snapshot.kpi(KPI).treatment.n
            return Result(outcome, decision.code, len(standing.looks), users, _loss(traffic, outcome))
    raise AssertionError(f"a rollout outlived its horizon: {standing.state}")


def follow_threshold(traffic: Traffic, terms: Terms, margin: float) -> Result:
    """Stage after stage at its hours; a check fails when the newest day's ratio is below the control's by the margin."""
    failed = 0
    for share in terms.stages:
        for _ in range(_ticks(terms.stage_hours)):
            traffic.serve(share)
            found = compare(*traffic.day(24 // TICK_HOURS))
            failed += found.treatment < (1 - margin) * found.control
            if failed > FAILURE_LIMIT:
                return Result("rolled_back", "failures", 0, 0, _loss(traffic, "rolled_back"))
    return Result("promoted", "stages_passed", 0, 0, _loss(traffic, "promoted"))


def follow_always_valid(traffic: Traffic, terms: Terms, margin: float) -> Result:
    """As long as ours at most: until the planned users are there."""
    for tick in range(_ticks(terms.horizon_hours)):
        stage = min(int(tick * TICK_HOURS / terms.stage_hours), len(terms.stages) - 1)
        traffic.serve(terms.stages[stage])
        sums = traffic.snapshot("", _BEGIN).kpi(KPI)
        found, n = compare(sums.control, sums.treatment), sums.control.n + sums.treatment.n
        if not n:
            continue
        _, high = confidence_sequence(found.value, found.variance, n=n, alpha=0.05, tuned_at=TUNED_AT)
        if high < 0:
            return Result("rolled_back", "harm", 0, sums.treatment.n, _loss(traffic, "rolled_back"))
        if sums.treatment.n >= terms.users_per_arm:
            break
    return Result("promoted", "no_harm", 0, sums.treatment.n, _loss(traffic, "promoted"))


RULES: dict[str, Rule] = {
    "daybreak": follow_engine,
    "threshold": follow_threshold,
    "always_valid": follow_always_valid,
}


def advance(standing: Standing, decision: Decision, now: datetime) -> Standing:
    """The row after a decision, as the store writes it."""
    looks = (*standing.looks, decision.look) if decision.look else standing.looks
    if not decision.moves:
        return standing.model_copy(update={"looks": looks})
    return standing.model_copy(
        update={
            "state": decision.state,
            "stage": decision.stage,
            "entered": now,
            "held": decision.held,
            "looks": looks,
            "seq": standing.seq + 1,
        }
    )


def _begin(terms: Terms, margin: float) -> Standing:
    kpi = Kpi(name=KPI, numerator="clicked", denominator="shown", margin=margin)
    return Standing(
        id="r1",
        model="simulated",
        plan=Plan(terms=terms, kpis=(kpi,), simulated=True),
        champion="1",
        challenger="2",
        state=State.RAMP,
        entered=_BEGIN,
        started=_BEGIN,
    )


def _ticks(hours: float) -> int:
    return round(hours / TICK_HOURS)


def _loss(traffic: Traffic, outcome: Outcome) -> float:
    """The challenger answers everybody after a promotion, and nobody after anything else."""
    ticks = ACCOUNTED_DAYS * 24 // TICK_HOURS
    exposed = sum(traffic.served[:ticks]) + (ticks - len(traffic.served) if outcome == "promoted" else 0)
    share = exposed / ticks
    return share * -traffic.effect if traffic.effect < 0 else (1 - share) * traffic.effect
