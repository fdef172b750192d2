from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from components.rollout.deciding import Decision, decide
from components.rollout.snapshot import ArmTraffic, KpiSums, Snapshot, Sums
from components.rollout.standing import FINAL, Look, Plan, Standing, State
from pipelines.spec import Kpi
from pipelines.spec.rollout import Rollout as Terms

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
CLICKS = Kpi(name="clicks", numerator="clicked", denominator="shown", margin=0.02)
BASKETS = Kpi(name="baskets", numerator="bought", denominator="shown", margin=0.02)
LATENESS = Kpi(
    name="lateness", numerator="late", denominator="shown", margin=0.1, direction="lower_is_better", guardrail=True
)


def standing(
    state: State = State.RAMP, *, kpis: tuple[Kpi, ...] = (CLICKS,), terms: Any = None, **fields: Any
) -> Standing:
    plan = Plan(terms=Terms(unit="user_id", **(terms or {})), kpis=kpis)
    given: dict[str, Any] = {"entered": BEGIN, "started": BEGIN, "stage": 2} | fields
    return Standing(id="r7", model="shop", plan=plan, champion="1", challenger="2", state=state, **given)


def sums(n: int, *, rate: float = 0.04) -> Sums:
    """Of users with ten impressions each, and a variance of the ratio 1.65 times that of independent rows."""
    y = 10 * rate
    return Sums(n=n, sx=10 * n, sy=y * n, sxx=100 * n, syy=n * (y * y + 16.5 * rate * (1 - rate)), sxy=10 * y * n)


def snapshot(
    hours: float, *, users: int = 60_000, rate: float = 0.04, kpis: tuple[KpiSums, ...] | None = None, **fields: Any
) -> Snapshot:
    as_of = BEGIN + timedelta(hours=hours)
    arm = ArmTraffic(units=users, requests=10 * users, p99_ms=10)
    found = kpis or (KpiSums(name="clicks", control=sums(users), treatment=sums(users, rate=rate)),)
    given = {"control": arm, "treatment": arm, "newest_exposure": as_of} | fields
    return Snapshot(model="shop", rollout_id="r7", as_of=as_of, kpis=found, **given)


def at(hours: float, row: Standing, seen: Snapshot | None) -> Decision:
    return decide(row, seen, now=BEGIN + timedelta(hours=hours))


def both(clicks: float, baskets: float, users: int = 130_000) -> Snapshot:
    kpis = tuple(
        KpiSums(name=name, control=sums(users), treatment=sums(users, rate=rate))
        for name, rate in (("clicks", clicks), ("baskets", baskets))
    )
    return snapshot(25, users=users, kpis=kpis)


@pytest.mark.parametrize(
    ("terms", "state"),
    [
        ({}, State.SHADOW),
        ({"shadow_hours": 0}, State.RAMP),
        ({"approval": True}, State.AWAIT_APPROVAL),
    ],
)
def test_gates_lead_on(terms: dict[str, Any], state: State) -> None:
    decision = at(0, standing(State.GATED, terms=terms, stage=0), None)
    assert (decision.state, decision.moves) == (state, True)


@pytest.mark.parametrize(
    "state", sorted(FINAL | {State.REGISTERED, State.AWAIT_APPROVAL, State.PROMOTING, State.ROLLING_BACK})
)
def test_others_complete_these_states(state: State) -> None:
    decision = at(1000, standing(state), snapshot(1000, rate=0.02))
    assert (decision.state, decision.moves, decision.look) == (state, False, None)


def test_shadow_lasts_its_hours_then_the_ramp_begins() -> None:
    seen = snapshot(2, users=0, shadow=ArmTraffic(requests=5000, p99_ms=11))
    assert at(0.5, standing(State.SHADOW, stage=0), seen).code == "shadowing"
    decision = at(2, standing(State.SHADOW, stage=0), seen)
    assert (decision.state, decision.stage, decision.code) == (State.RAMP, 0, "shadow_passed")


def test_shadow_without_mirrored_requests_holds_and_heals_when_they_come() -> None:
    decision = at(2, standing(State.SHADOW, stage=0), snapshot(2, users=0))
    assert (decision.state, decision.held, decision.code) == (State.HOLD, State.SHADOW, "shadow")
    held = standing(State.HOLD, stage=0, held=State.SHADOW)
    assert at(3, held, snapshot(3, users=0)).code == "shadow"
    healed = at(3, held, snapshot(3, users=0, shadow=ArmTraffic(requests=50)))
    assert (healed.state, healed.code) == (State.SHADOW, "healed")


def test_shadow_that_fails_is_rolled_back_before_anybody_meets_it() -> None:
    seen = snapshot(0.5, users=0, shadow=ArmTraffic(requests=5000, fallbacks=500))
    decision = at(0.5, standing(State.SHADOW, stage=0), seen)
    assert (decision.state, decision.code) == (State.ROLLING_BACK, "harm_errors")


def test_a_stage_lasts_its_hours_and_needs_mature_units() -> None:
    row = standing(stage=0)
    assert at(12, row, snapshot(12, users=3000)).code == "too_soon"
    young = snapshot(25, kpis=(KpiSums(name="clicks"),))
    assert at(25, row, young).code == "immature"
    decision = at(25, row, snapshot(25, users=3000))
    assert (decision.state, decision.stage, decision.code) == (State.RAMP, 1, "stage_passed")


def test_looks_are_taken_when_information_and_hours_are_due() -> None:
    assert at(12, standing(), snapshot(12)).code == "collecting"
    assert at(25, standing(), snapshot(25, users=20_000)).code == "collecting"
    decision = at(25, standing(), snapshot(25, rate=0.0395))
    assert (decision.code, decision.moves) == ("look_taken", False)
    assert decision.look is not None
    assert decision.look.information == pytest.approx(60_000 / 130_000, rel=1e-6)
    assert decision.look.snapshot == snapshot(25, rate=0.0395).digest


def look(information: float, bound: float, spent: float) -> Look:
    return Look(time=BEGIN, information=information, bound=bound, spent=spent, z=0.1, snapshot="x")


def test_bounds_are_those_of_the_spending_whatever_the_information_was() -> None:
    fractions = [0.31, 0.55, 0.8]
    bounds = [2.9699, 2.4284, 2.0031, 1.7201]
    looks = tuple(look(each, bound, 0.05 * each**3) for each, bound in zip(fractions, bounds[:3], strict=True))
    for done in range(4):
        users = round(130_000 * [*fractions, 1.0][done])
        found = at(25, standing(looks=looks[:done]), snapshot(25, users=users, rate=0.0393)).look
        assert found is not None
        assert found.bound == pytest.approx(bounds[done], abs=2e-3)
        assert found.spent == pytest.approx(0.05 * [*fractions, 1.0][done] ** 3, rel=1e-3)


def test_the_information_that_is_left_is_spread_over_the_looks_that_are_left() -> None:
    row = standing(looks=(look(0.46, 2.6, 0.005),))
    assert at(25, row, snapshot(25, users=80_000)).code == "collecting"
    assert at(25, row, snapshot(25, users=84_000, rate=0.0394)).code == "look_taken"


def test_not_worse_is_promoted_once_it_is_shown() -> None:
    decision = at(25, standing(), snapshot(25, users=130_000))
    assert (decision.state, decision.code) == (State.PROMOTING, "not_worse")
    assert decision.look is not None
    assert decision.look.spent == 0.05
    assert [check.name for check in decision.checks][-2:] == ["not_worse", "orphans"]


def test_not_worse_is_not_better() -> None:
    terms = {"kind": "experiment", "challenger": "other"}
    assert at(25, standing(terms=terms), snapshot(25, users=130_000)).code == "not_shown"
    decision = at(25, standing(terms=terms), snapshot(25, users=130_000, rate=0.0412))
    assert (decision.state, decision.code) == (State.PROMOTING, "better")


@pytest.mark.parametrize(("clicks", "baskets", "code"), [(0.04, 0.04, "not_worse"), (0.041, 0.0393, "not_shown")])
def test_every_kpi_that_decides_must_be_shown(clicks: float, baskets: float, code: str) -> None:
    assert at(25, standing(kpis=(CLICKS, BASKETS)), both(clicks, baskets)).code == code


def test_harm_of_one_kpi_is_enough_to_roll_back() -> None:
    decision = at(25, standing(kpis=(CLICKS, BASKETS)), both(0.042, 0.037))
    assert (decision.state, decision.code) == (State.ROLLING_BACK, "harm_kpi")
    assert "baskets" in decision.reason


@pytest.mark.parametrize("state", [State.RAMP, State.WATCH, State.HOLD])
def test_harm_rolls_back_from_everywhere(state: State) -> None:
    row = standing(state, stage=1, held=State.RAMP if state is State.HOLD else None)
    decision = at(1, row, snapshot(1, users=30_000, rate=0.035))
    assert (decision.state, decision.code) == (State.ROLLING_BACK, "harm_kpi")


def test_harm_is_seen_in_a_log_that_cannot_be_believed() -> None:
    """Rolling back too often costs little; waiting with a harmful model does not."""
    assert at(1, standing(), snapshot(1, rate=0.035, complete=False)).state is State.ROLLING_BACK


@pytest.mark.parametrize(("rate", "code"), [(0.042, "not_worse"), (0.05, "harm_guardrail"), (0.03, "not_worse")])
def test_a_guardrail_is_harmed_beyond_its_margin_only(rate: float, code: str) -> None:
    """5 % more lateness is within the margin of 10 %, 25 % is not; less is better."""
    late = KpiSums(name="lateness", control=sums(130_000), treatment=sums(130_000, rate=rate))
    fine = KpiSums(name="clicks", control=sums(130_000), treatment=sums(130_000))
    seen = snapshot(25, users=130_000, kpis=(fine, late))
    assert at(25, standing(kpis=(CLICKS, LATENESS)), seen).code == code


@pytest.mark.parametrize(
    ("arm", "code"),
    [
        (ArmTraffic(units=500, requests=5000, fallbacks=250, p99_ms=10), "harm_errors"),
        (ArmTraffic(units=500, requests=5000, fallbacks=40, p99_ms=10), "too_soon"),
        (ArmTraffic(units=500, requests=5000, p99_ms=31), "harm_latency"),
        (ArmTraffic(units=500, requests=50, fallbacks=50, p99_ms=99), "too_soon"),
    ],
)
def test_guardrails_of_the_service(arm: ArmTraffic, code: str) -> None:
    control = ArmTraffic(units=500, requests=5000, p99_ms=10)
    assert at(1, standing(stage=0), snapshot(1, users=500, control=control, treatment=arm)).code == code


def faulty(fault: str) -> Snapshot | None:
    arm = ArmTraffic(units=60_000, requests=600_000, p99_ms=10)
    found: dict[str, Any] = {
        "missing": None,
        "of_another": snapshot(25).model_copy(update={"rollout_id": "other"}),
        "incomplete": snapshot(25, complete=False),
        "old": snapshot(23),
        "silent": snapshot(25, newest_exposure=BEGIN + timedelta(hours=23)),
        "never_any": snapshot(25, newest_exposure=None),
        "mismatched": snapshot(25, treatment=arm.model_copy(update={"mismatches": 1})),
        "crossed": snapshot(25, crossed_units=700),
        "unequal": snapshot(25, treatment=arm.model_copy(update={"units": 57_500})),
        "orphaned": snapshot(25, users=130_000, orphans=600),
    }
    return found[fault]  # type: ignore[no-any-return]


FAULTS = {
    "missing": "snapshot",
    "of_another": "snapshot",
    "incomplete": "snapshot",
    "old": "snapshot",
    "silent": "exposures",
    "never_any": "exposures",
    "mismatched": "mismatches",
    "crossed": "crossover",
    "unequal": "sample_ratio",
    "orphaned": "orphans",
}


@pytest.mark.parametrize(("fault", "code"), FAULTS.items())
def test_a_log_that_cannot_be_believed_holds_and_heals(fault: str, code: str) -> None:
    decision = at(25, standing(), faulty(fault))
    assert (decision.state, decision.stage, decision.held, decision.code) == (State.HOLD, 2, State.RAMP, code)
    assert decision.look is None
    held = standing(State.HOLD, held=State.RAMP)
    assert (at(25, held, faulty(fault)).moves, at(25, held, faulty(fault)).code) == (False, code)
    healed = at(25, held, snapshot(25))
    assert (healed.state, healed.stage, healed.code) == (State.RAMP, 2, "healed")


def test_a_hold_that_lasts_too_long_rolls_back_also_without_a_snapshot() -> None:
    decision = at(48, standing(State.HOLD, held=State.RAMP), None)
    assert (decision.state, decision.code) == (State.ROLLING_BACK, "held_too_long")


def test_only_a_person_ends_a_pause() -> None:
    held = standing(State.HOLD, held=State.RAMP, paused=True)
    assert at(25, held, snapshot(25)).code == "paused"
    assert at(49, held, snapshot(49)).code == "held_too_long"


def test_a_rollout_that_has_just_begun_is_not_held_for_having_no_data() -> None:
    assert at(0.5, standing(stage=0), None).code == "no_snapshot"
    assert at(0.5, standing(stage=0), snapshot(0.5, users=0, newest_exposure=None)).code == "too_soon"


def test_the_watch_ends_in_promoted() -> None:
    assert at(12, standing(State.WATCH), snapshot(12)).code == "watching"
    assert at(24, standing(State.WATCH), snapshot(24, newest_exposure=None)).state is State.PROMOTED
    assert at(24, standing(State.WATCH), None).state is State.HOLD


def test_nothing_shown_at_the_last_look_is_inconclusive() -> None:
    decision = at(25, standing(), snapshot(25, users=130_000, rate=0.0393))
    assert (decision.state, decision.code, decision.moves) == (State.INCONCLUSIVE, "not_shown", True)


def test_the_horizon_spends_what_is_left() -> None:
    """At a quarter of the information the bound of a scheduled look would be 3.2."""
    seen = snapshot(14 * 24, users=32_500, rate=0.0405)
    decision = at(14 * 24, standing(), seen)
    assert decision.look is not None
    assert decision.look.spent == 0.05
    assert decision.look.bound == pytest.approx(1.6449, abs=1e-3)
    assert decision.state is State.PROMOTING


def test_the_horizon_without_new_information_is_inconclusive() -> None:
    row = standing(looks=(look(60_000 / 130_000, 2.6, 0.005),))
    assert at(14 * 24, row, snapshot(14 * 24)).code == "horizon"
    early = standing(stage=0)
    assert at(14 * 24, early, snapshot(14 * 24, users=300)).state is State.INCONCLUSIVE


def test_the_spec_may_promote_what_is_inconclusive() -> None:
    row = standing(terms={"when_inconclusive": "promote"})
    decision = at(25, row, snapshot(25, users=130_000, rate=0.0393))
    assert (decision.state, decision.code) == (State.PROMOTING, "inconclusive_not_shown")


def test_a_plan_that_will_fall_short_says_so() -> None:
    few = at(48, standing(), snapshot(48, users=10_000)).checks
    assert [(check.name, check.verdict) for check in few if check.name == "plan"] == [("plan", "waits")]
    enough = at(48, standing(), snapshot(48, users=50_000)).checks
    assert [check.verdict for check in enough if check.name == "plan"] == ["ok"]


def test_it_is_pure_and_can_be_stored() -> None:
    row, seen = standing(), snapshot(25, users=130_000, rate=0.0393)
    before = row.model_dump_json(), seen.model_dump_json()
    first, second = at(25, row, seen), at(25, row, seen)
    assert first == second
    assert (row.model_dump_json(), seen.model_dump_json()) == before
    assert Decision.model_validate_json(first.model_dump_json()) == first


def counts(most: int = 300_000) -> st.SearchStrategy[int]:
    return st.integers(0, most)


@st.composite
def any_sums(draw: st.DrawFn) -> Sums:
    """Also such as no users can have."""
    numbers = st.just(0.0) | st.floats(-1e6, -1e-6) | st.floats(1e-6, 1e9)
    return Sums(n=draw(counts()), **{name: draw(numbers) for name in list(Sums.model_fields)[1:]})


@st.composite
def any_snapshot(draw: st.DrawFn) -> Snapshot:
    arm = st.builds(
        ArmTraffic,
        units=counts(),
        requests=counts(),
        fallbacks=counts(),
        mismatches=st.sampled_from([0, 0, 3]),
        p99_ms=st.floats(0, 1e4),
    )
    kpi = st.builds(KpiSums, name=st.sampled_from(["clicks", "lateness"]), control=any_sums(), treatment=any_sums())
    hours = draw(st.floats(-10, 500))
    return snapshot(
        hours,
        kpis=tuple(draw(st.lists(kpi, max_size=2))) or (KpiSums(name="clicks"),),
        control=draw(arm),
        treatment=draw(arm),
        shadow=draw(arm),
        crossed_units=draw(counts(1000)),
        orphans=draw(counts(1000)),
        newest_exposure=draw(st.sampled_from([None, BEGIN + timedelta(hours=hours)])),
        complete=draw(st.booleans()),
    )


def reachable(state: State) -> Iterator[State]:
    yield state
    yield from {
        State.GATED: (State.AWAIT_APPROVAL, State.SHADOW, State.RAMP),
        State.SHADOW: (State.RAMP, State.HOLD, State.ROLLING_BACK),
        State.RAMP: (State.HOLD, State.ROLLING_BACK, State.PROMOTING, State.INCONCLUSIVE),
        State.WATCH: (State.PROMOTED, State.HOLD, State.ROLLING_BACK),
        State.HOLD: (State.SHADOW, State.RAMP, State.WATCH, State.ROLLING_BACK),
    }.get(state, ())


@settings(max_examples=150, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    state=st.sampled_from(State),
    held=st.sampled_from([State.SHADOW, State.RAMP, State.WATCH]),
    stage=st.integers(0, 2),
    looks=st.integers(0, 4),
    seen=st.none() | any_snapshot(),
    hours=st.floats(-10, 500),
)
def test_decide_is_total(
    state: State, held: State, stage: int, looks: int, seen: Snapshot | None, hours: float
) -> None:
    taken = tuple(look(0.2 * each, 3.0, 0.001 * each) for each in range(1, looks + 1))
    row = standing(state, stage=stage, looks=taken, kpis=(CLICKS, LATENESS), held=held if state is State.HOLD else None)
    decision = at(hours, row, seen)
    assert decision.state in set(reachable(state))
    assert decision.moves == (decision.state != state or decision.stage != stage)
    assert decision.stage in (stage, stage + 1, 0)
    assert decision.stage < 3
    assert decision.code and decision.reason.endswith(".")
    assert (decision.held is not None) == (decision.state is State.HOLD)
    assert Decision.model_validate_json(decision.model_dump_json()) == decision
