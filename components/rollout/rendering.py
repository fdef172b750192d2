"""Rollouts for people: where they stand, and their events as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components.rollout.budget import margin_used
from components.rollout.commands import possible
from components.rollout.deciding import Decision
from components.rollout.events import Event
from components.rollout.standing import Standing, State
from components.rollout.store import RolloutStore

_SHOWN = 3


def render_status(store: RolloutStore, rollouts: Sequence[Standing]) -> Iterator[str]:
    """Those that are under way, and the last that ended."""
    under_way = [rollout for rollout in rollouts if not rollout.final]
    ended = [rollout for rollout in rollouts if rollout.final]
    if rollouts and (used := margin_used(rollouts, now=rollouts[-1].entered)):
        limit = rollouts[-1].plan.terms.quarterly_margin
        yield f"margin of the quarter: promotions may have cost {used:.1%}{f' of {limit:.1%}' if limit else ''}"
    for rollout in [*ended[-_SHOWN:], *under_way]:
        simulated = "  SIMULATED" if rollout.plan.simulated else ""
        yield f"{rollout.id}: {_where(rollout)} since {rollout.entered:%Y-%m-%d %H:%M} UTC{simulated}"
        yield f"  versions  {rollout.challenger} against {rollout.champion}"
        yield f"  why       {rollout.reason}"
        memory = store.memory(rollout.id)
        if memory.ticked:
            yield f"  tick      {memory.ticked:%Y-%m-%d %H:%M} UTC"
        if memory.decided:
            yield from _checks(memory.decided)
        for look in rollout.looks:
            yield f"  look      {look.time:%Y-%m-%d %H:%M}  information {look.information:.2f}  z {look.z:.2f}  bound {look.bound:.2f}"
        if not rollout.final:
            yield f"  possible  {', '.join(possible(rollout)) or 'nothing: it waits for a tick'}"


def _where(rollout: Standing) -> str:
    state = rollout.held if rollout.state is State.HOLD and rollout.held else rollout.state
    stage = ""
    if state is State.RAMP:
        shares = rollout.plan.terms.stages
        stage = f" {shares[rollout.stage]:.0%} in each arm, stage {rollout.stage + 1} of {len(shares)}"
    return f"hold, from {state}{stage}" if rollout.state is State.HOLD else f"{rollout.state}{stage}"


def _checks(decision: Decision) -> Iterator[str]:
    yield f"  decided   {decision.code}: {decision.reason}"
    for check in decision.checks:
        name = f"{check.name} of {check.kpi}" if check.kpi else check.name
        observed = "-" if check.observed is None else f"{check.observed:.4g}"
        ends = ["" if end is None else f"{end:.4g}" for end in (check.low, check.high)]
        interval = f"  [{ends[0]}, {ends[1]}]" if any(ends) else ""
        yield f"    {check.verdict:<6} {name:<28} {observed}{interval}  bound {check.bound:.4g}"


def render_events(events: Sequence[Event]) -> Iterator[str]:
    """A table, oldest first."""
    head = ("seq", "time", "from", "to", "code", "actor", "reason")
    rows = [head, *(_cells(event) for event in events)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head) - 1)]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[-1]]).rstrip()


def _cells(event: Event) -> tuple[str, ...]:
    time, reason = event.time.strftime("%Y-%m-%d %H:%M:%SZ"), " ".join(event.reason.split())
    return (str(event.seq), time, event.from_state or "", event.to_state, event.code, event.actor, reason)
