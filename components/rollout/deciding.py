"""What to do with a rollout now: pure, total, and replayable from the events.

    decision = decide(standing, snapshot, now=now)       # `snapshot` is None when no join has ended yet
    decision.state, decision.code, decision.reason

REGISTERED waits for the gates, AWAIT_APPROVAL for a person, PROMOTING and ROLLING_BACK for their projection: whoever
completes them moves the row, and `decide` leaves it where it is. What is found first decides: harm rolls back, a log that cannot be
believed holds, and only then may a candidate go on.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from components.rollout import harm, integrity, promotion
from components.rollout.checks import Check
from components.rollout.snapshot import Snapshot
from components.rollout.standing import Look, Standing, State
from pipelines.spec import Frozen
from pipelines.spec.rollout import Rollout as Terms

_WAITING = {
    State.REGISTERED: ("ungated", "It waits for its gates."),
    State.AWAIT_APPROVAL: ("unapproved", "It waits for somebody's approval."),
    State.PROMOTING: ("projecting", "The promotion is being carried out."),
    State.ROLLING_BACK: ("projecting", "The rollback is being carried out."),
    State.PROMOTED: ("final", "It was promoted."),
    State.ROLLED_BACK: ("final", "It was rolled back."),
    State.INCONCLUSIVE: ("final", "It ended without a conclusion."),
    State.SUPERSEDED: ("final", "A newer candidate took its place."),
}


class Decision(Frozen):
    state: State
    stage: int
    code: str
    reason: str
    """One sentence."""
    held: State | None = None
    look: Look | None = None
    """That was taken now: it is appended to those of the standing, also when nothing moves."""
    checks: tuple[Check, ...] = ()
    moves: bool
    """False: state and stage stay what they are."""


def decide(standing: Standing, snapshot: Snapshot | None, *, now: datetime) -> Decision:
    if standing.state in _WAITING:
        return _stay(standing, *_WAITING[standing.state])
    if standing.state is State.GATED:
        return _leave_gates(standing)
    found = integrity.inspect_snapshot(standing, snapshot, now=now)
    if snapshot is not None and snapshot.rollout_id == standing.id:
        found = harm.inspect_harm(standing, snapshot) + found
    else:
        snapshot = None
    return _judge(standing, snapshot, found, now).model_copy(update={"checks": tuple(found)})


def first_state(terms: Terms) -> State:
    """That an approved candidate enters."""
    return State.SHADOW if terms.shadow_hours else State.RAMP


def _leave_gates(standing: Standing) -> Decision:
    if standing.plan.terms.approval:
        return _move(standing, State.AWAIT_APPROVAL, "needs_approval", "Somebody must agree before users meet it.")
    return _move(standing, first_state(standing.plan.terms), "gates_passed", "Its gates were passed.")


def _judge(standing: Standing, snapshot: Snapshot | None, found: list[Check], now: datetime) -> Decision:
    """`found` grows by what the promotion looks at."""
    if harmful := _first(found, "harm"):
        reason = harm.REASONS[harmful.name].format(kpi=harmful.kpi)
        return _move(standing, State.ROLLING_BACK, f"harm_{harmful.name}", reason)
    if standing.state is State.HOLD:
        return _leave_hold(standing, _first(found, "hold"), now)
    if broken := _first(found, "hold"):
        return _hold(standing, broken.name, integrity.REASONS[broken.name])
    if snapshot is None:
        return _stay(standing, "no_snapshot", "There is no snapshot of it yet.")
    if standing.state is State.SHADOW:
        return _leave_shadow(standing, snapshot, now)
    if standing.state is State.WATCH:
        return _leave_watch(standing, now)
    return _ramp(standing, snapshot, found, now)


def _leave_hold(standing: Standing, broken: Check | None, now: datetime) -> Decision:
    if _hours(standing, now) >= standing.plan.terms.max_hold_hours:
        return _move(standing, State.ROLLING_BACK, "held_too_long", "It was held for longer than `max_hold_hours`.")
    if standing.paused:
        return _stay(standing, "paused", "A person, or a moved alias, holds it until a person resumes it.")
    if broken:
        return _stay(standing, broken.name, integrity.REASONS[broken.name])
    return _move(standing, standing.held or State.RAMP, "healed", "What held it is healed.")


def _leave_shadow(standing: Standing, snapshot: Snapshot, now: datetime) -> Decision:
    if _hours(standing, now) < standing.plan.terms.shadow_hours:
        return _stay(standing, "shadowing", "Requests are mirrored to it for `shadow_hours`.")
    if not snapshot.shadow.requests:
        return _hold(standing, "shadow", integrity.REASONS["shadow"])
    return _move(standing, State.RAMP, "shadow_passed", "It answered mirrored requests as it should.", stage=0)


def _leave_watch(standing: Standing, now: datetime) -> Decision:
    if _hours(standing, now) < standing.plan.terms.watch_hours:
        return _stay(standing, "watching", "It is watched for `watch_hours`.")
    return _move(standing, State.PROMOTED, "watch_passed", "Nothing was harmed while it was watched.")


def _ramp(standing: Standing, snapshot: Snapshot, found: list[Check], now: datetime) -> Decision:
    terms, over = standing.plan.terms, _at_horizon(standing, now)
    fraction = promotion.information(standing, snapshot)
    found.append(_progress(standing, fraction, now))
    if standing.stage >= len(terms.stages) - 1:
        if over or promotion.look_due(standing, fraction, now=now):
            final = over or (fraction is not None and promotion.last_look(standing, fraction))
            return _look(
                standing, promotion.take_look(standing, snapshot, now=now, final=final), snapshot, found, final
            )
        return _stay(standing, "collecting", "The next look needs more information or time.")
    if over:
        return _conclude(standing, "horizon", "The horizon came before the last stage.")
    if _hours(standing, now) < terms.stage_hours:
        return _stay(standing, "too_soon", "The stage lasts `stage_hours` at least.")
    if fraction is None:
        return _stay(standing, "immature", "Too few units have had their whole window to go on.")
    return _move(standing, State.RAMP, "stage_passed", "Nothing was harmed at this stage.", stage=standing.stage + 1)


def _look(standing: Standing, look: Look | None, snapshot: Snapshot, found: list[Check], final: bool) -> Decision:
    if look is None:
        return _conclude(standing, "horizon", "The horizon came without new information.")
    not_worse = standing.plan.terms.kind == "refresh"
    passed = look.z >= look.bound
    name = "not_worse" if not_worse else "better"
    found.append(Check(name=name, observed=look.z, bound=look.bound, verdict="ok" if passed else "waits"))
    if passed:
        return _promote(standing, look, snapshot, found, name)
    if final:
        return _conclude(standing, "not_shown", "The last look could not show what the plan asked for.", look)
    return _stay(standing, "look_taken", "This look could not show it yet.", look)


def _promote(standing: Standing, look: Look, snapshot: Snapshot, found: list[Check], code: str) -> Decision:
    orphans = integrity.count_orphans(snapshot)
    found.append(orphans)
    if orphans.verdict == "hold":
        # The look does not count: bounds of later ones do not know of it, and are valid without it.
        return _hold(standing, orphans.name, integrity.REASONS[orphans.name])
    shown = "not worse by more than its margin" if code == "not_worse" else "better"
    return _move(standing, State.PROMOTING, code, f"Every KPI that decides was shown to be {shown}.", look=look)


def _conclude(standing: Standing, code: str, reason: str, look: Look | None = None) -> Decision:
    if standing.plan.terms.when_inconclusive == "promote":
        reason = f"{reason} The spec promotes then."
        return _move(standing, State.PROMOTING, f"inconclusive_{code}", reason, look=look)
    return _move(standing, State.INCONCLUSIVE, code, reason, look=look)


def _progress(standing: Standing, fraction: float | None, now: datetime) -> Check:
    """What the information will be at the horizon, if it goes on coming as until now: below 1 the plan falls short."""
    hours = (now - (standing.started or standing.entered)) / timedelta(hours=1)
    horizon = standing.plan.terms.horizon_hours
    projected = fraction * horizon / hours if fraction is not None and hours > 0 else None
    short = projected is not None and projected < 1
    return Check(name="plan", observed=projected, bound=1.0, low=fraction, verdict="waits" if short else "ok")


def _at_horizon(standing: Standing, now: datetime) -> bool:
    started = standing.started or standing.entered
    return now - started >= timedelta(hours=standing.plan.terms.horizon_hours)


def _hours(standing: Standing, now: datetime) -> float:
    return (now - standing.entered) / timedelta(hours=1)


def _first(found: list[Check], verdict: str) -> Check | None:
    return next((check for check in found if check.verdict == verdict), None)


def _hold(standing: Standing, code: str, reason: str) -> Decision:
    return Decision(state=State.HOLD, stage=standing.stage, code=code, reason=reason, held=standing.state, moves=True)


def _stay(standing: Standing, code: str, reason: str, look: Look | None = None) -> Decision:
    return Decision(
        state=standing.state, stage=standing.stage, code=code, reason=reason, held=standing.held, look=look, moves=False
    )


def _move(
    standing: Standing, state: State, code: str, reason: str, *, stage: int | None = None, look: Look | None = None
) -> Decision:
    at = standing.stage if stage is None else stage
    return Decision(state=state, stage=at, code=code, reason=reason, look=look, moves=True)
