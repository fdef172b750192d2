"""The pages as documents: all rollouts, one of them, and the one that says why there is nothing to show.

overview_page(rows), rollout_page(view), failure_page("the database does not answer")
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass

from components.inference.mismatch import THRESHOLD
from components.rollout.checks import Check
from components.rollout.commands import possible
from components.rollout.events import Change, Event
from components.rollout.page.drawing import draw_evidence, draw_ratio, draw_series
from components.rollout.page.history import Evidence, History, planned_looks
from components.rollout.page.markup import Child, Html, element, table
from components.rollout.page.style import STYLE
from components.rollout.page.wording import arms, next_look, phase, share_of, stamp
from components.rollout.snapshot import ArmTraffic, Snapshot
from components.rollout.standing import Standing, State
from components.rollout.store import Memory
from components.worth.ledger import Entry
from pipelines.spec import Kpi

PATH = "/rollouts"


@dataclass(frozen=True)
class View:
    """All that the page of one rollout shows."""

    standing: Standing
    events: Sequence[Event]
    memory: Memory
    history: History
    costs: Entry | None


def overview_page(rollouts: Sequence[Standing]) -> Html:
    """Newest first, those under way before those that ended."""
    ordered = sorted(rollouts, key=lambda one: (one.final, -one.entered.timestamp()))
    rows = [
        [
            element("a", one.id, href=f"{PATH}/{one.id}"),
            one.model,
            _badge(one),
            share_of(one),
            f"{one.challenger} against {one.champion}",
            stamp(one.entered),
            one.reason,
            _simulated(one),
        ]
        for one in ordered
    ]
    head = ("rollout", "model", "state", "challenger's share", "versions", "since", "why", "")
    body = table(head, rows) if rows else element("p", "No candidate has been queued yet.", class_="note")
    return _document("Rollouts", element("h1", "Rollouts"), body)


def rollout_page(view: View) -> Html:
    standing = view.standing
    return _document(
        standing.id,
        element("p", element("a", "all rollouts", href=PATH)),
        element("h1", standing.id, " ", _badge(standing), " ", _simulated(standing)),
        element("p", standing.reason, class_="lead"),
        _facts(view),
        element("h2", "Arms"),
        _arms(standing, view.history.newest),
        element("h2", "KPIs: challenger better by"),
        _kpis(view),
        element("h2", "Promotion test"),
        _promotion(view),
        element("h2", "Guardrails and what the last tick looked at"),
        _checks(view),
        element("h2", "Sample ratio"),
        draw_ratio(view.history.ratio, threshold=math.log(THRESHOLD)),
        element("h2", "Cost and benefit"),
        _worth(view.costs),
        element("h2", "Events"),
        _events(view.events),
    )


def failure_page(message: str) -> Html:
    return _document(
        "Rollouts",
        element("h1", "Rollouts"),
        element("p", message, class_="failure"),
        element("p", "Traffic is not touched by this: gateways follow the last split document.", class_="note"),
    )


def _facts(view: View) -> Html:
    standing = view.standing
    ticked = view.memory.ticked
    facts: list[tuple[str, Child]] = [
        ("versions", f"{standing.challenger} against {standing.champion} ({standing.plan.terms.kind})"),
        ("phase", phase(standing)),
        ("since", stamp(standing.entered)),
        ("first users", stamp(standing.started) if standing.started else "none yet"),
        ("last tick", stamp(ticked) if ticked else "none yet"),
        ("next look", next_look(standing)),
        ("possible now", ", ".join(possible(standing)) or "nothing"),
    ]
    return element("dl", [part for name, value in facts for part in (element("dt", name), element("dd", value))])


def _arms(standing: Standing, newest: Snapshot | None) -> Html:
    found = newest or Snapshot(model=standing.model, rollout_id=standing.id, as_of=standing.entered)
    traffic = {"control": found.control, "treatment": found.treatment, "shadow": found.shadow}
    rows = [
        [name, version, share, *_traffic(traffic[name] if newest else None)]
        for name, version, share in arms(standing)
        if name in traffic
    ]
    rest = [[name, version, share, "", "", "", ""] for name, version, share in arms(standing) if name not in traffic]
    head = ("arm", "version", "share of units", "users", "requests", "fallbacks", "p99")
    when = (
        f"as of {stamp(found.as_of)}; {found.crossed_units:,} users were seen in both arms"
        if newest
        else "no snapshot yet"
    )
    return element("div", table(head, [*rows, *rest]), element("p", when, class_="note"))


def _traffic(arm: ArmTraffic | None) -> list[str]:
    if arm is None:
        return ["-", "-", "-", "-"]
    return [f"{arm.units:,}", f"{arm.requests:,}", f"{arm.fallbacks:,}", f"{arm.p99_ms:.1f} ms"]


def _kpis(view: View) -> Html:
    charts = [
        draw_series(
            f"{kpi.name}{' (guardrail)' if kpi.guardrail else ''}, in its own unit",
            view.history.kpis.get(kpi.name, []),
            boundaries=[(0.0, "harm: all of the band below")],
            marks=_moves(view.events),
        )
        for kpi in view.standing.plan.kpis
    ]
    note = "The band holds at all times at once. A rollout is taken back when all of it is below the line."
    rows = [_kpi_row(kpi, view) for kpi in view.standing.plan.kpis]
    head = ("KPI", "role", "margin", "difference", "interval", "mature users, control / treatment")
    return element("div", element("div", charts, class_="charts"), element("p", note, class_="note"), table(head, rows))


def _kpi_row(kpi: Kpi, view: View) -> list[Child]:
    newest, points = view.history.newest, view.history.kpis.get(kpi.name, [])
    sums = newest.kpi(kpi.name) if newest else None
    counts = f"{sums.control.n:,} / {sums.treatment.n:,}" if sums else "-"
    role = "guardrail; its margin is added to the difference" if kpi.guardrail else "decides"
    last = points[-1] if points else None
    shown = [f"{last.value:.4g}", f"[{last.low:.4g}, {last.high:.4g}]"] if last else ["-", "-"]
    return [kpi.name, role, f"{kpi.margin:g} {kpi.margin_unit}", *shown, counts]


def _promotion(view: View) -> Html:
    standing = view.standing
    taken = [Evidence(look.information, look.z) for look in standing.looks]
    chart = draw_evidence(view.history.evidence, planned_looks(standing), taken=taken)
    rows = [
        [stamp(look.time), f"{look.information:.0%}", f"{look.z:.2f}", f"{look.bound:.2f}", f"{look.spent:.4f}"]
        for look in standing.looks
    ]
    looks = table(("look", "information", "z", "bound", "alpha spent"), rows) if rows else None
    note = "Squares: the bound of each look, those to come as planned. Dots: looks that were taken. Line: z at every snapshot."
    return element("div", element("div", chart, class_="charts"), element("p", note, class_="note"), looks)


def _checks(view: View) -> Html:
    decided = view.memory.decided
    if decided is None:
        return element("p", "No tick has decided about it yet.", class_="note")
    head = ("verdict", "what", "observed", "interval", "bound")
    said = element("p", f"{decided.code}: {decided.reason}")
    return element("div", said, table(head, [_check(check) for check in decided.checks]))


def _check(check: Check) -> list[Child]:
    name = f"{check.name} of {check.kpi}" if check.kpi else check.name
    ends = ["" if end is None else f"{end + 0:.4g}" for end in (check.low, check.high)]
    interval = f"[{ends[0] or '-∞'}, {ends[1] or '∞'}]" if any(ends) else ""
    observed = "-" if check.observed is None else f"{check.observed:.4g}"
    return [
        element("span", check.verdict, class_=f"badge {check.verdict}"),
        name,
        observed,
        interval,
        f"{check.bound:.4g}",
    ]


def _worth(costs: Entry | None) -> Html:
    if costs is None:
        return element("p", "Absent: no costs of this version are on this machine (`daybreak costs`).", class_="note")
    rows: list[list[Child]] = [
        ["training", f"{costs.training_usd:.4g} USD"],
        ["gates", f"{costs.gates_usd:.4g} USD"],
        ["CPU, energy", f"{costs.cpu_core_hours:.3g} core hours, {costs.energy_kwh:.3g} kWh (estimate)"],
    ]
    if found := costs.statement:
        rows.append(["expected lift", f"{found.lift.value:.3g} of {found.kpi}" if found.lift else found.reason])
        rows.append(["expected net benefit", f"{found.net_usd.value:.4g} USD" if found.net_usd else "not known"])
    return table(("of the challenger", f"day {costs.day}"), rows)


def _events(events: Sequence[Event]) -> Html:
    head = ("#", "time", "to", "code", "actor", "reason", "snapshot")
    rows = [
        [str(event.seq), _time(event), event.to_state.value, event.code, event.actor, event.reason, event.snapshot[:8]]
        for event in events
    ]
    return table(head, reversed(rows))


def _moves(events: Sequence[Event]) -> list[tuple[datetime.datetime, str]]:
    """Each new state or stage, by the rollout's clock."""
    found, before = [], None
    for event in events[1:]:
        change = Change.model_validate(event.decision)
        at = (event.to_state, change.decision.stage)
        if at != before and event.to_state is not State.SHADOW:
            found.append((change.now, f"{at[0]} {at[1] + 1}" if at[0] is State.RAMP else str(at[0])))
        before = at
    return found


def _time(event: Event) -> str:
    """Of the rollout's clock, which may be simulated; the first event has the database's only."""
    now = event.decision.get("now") or event.decision.get("entered")
    return f"{str(now)[:16].replace('T', ' ')} UTC" if now else stamp(event.time)


def _badge(standing: Standing) -> Html:
    return element("span", standing.state.value, class_=f"badge {standing.state.value}")


def _simulated(standing: Standing) -> Html | str:
    return element("span", "simulated", class_="badge simulated") if standing.plan.simulated else ""


def _document(title: str, *parts: Child) -> Html:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    whole = element("html", head, element("body", element("main", list(parts))), lang="en")
    return Html(f"<!doctype html>{whole}\n")
