"""What a tick tells those who called it: JSON, small, for XCom and for asking somebody's approval.

write_report(path, store, "shop", report, now=now)
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from components.rollout.standing import Standing, State
from components.rollout.store import RolloutStore
from components.rollout.ticking import Report
from pipelines.manifest import write_atomically


def write_report(path: Path, store: RolloutStore, model: str, report: Report, *, now: datetime.datetime) -> None:
    active, queued = store.active(model), store.queued(model)
    content = {
        "model": model,
        "now": now.isoformat(),
        "lines": report.lines,
        "problems": report.problems,
        "active": _facts(active),
        "queued": _facts(queued),
        "approval": _approval(queued) if queued and queued.state is State.AWAIT_APPROVAL else None,
    }
    write_atomically(path, json.dumps(content).encode())


def _facts(standing: Standing | None) -> dict[str, Any] | None:
    if standing is None:
        return None
    return {
        "rollout": standing.id,
        "state": standing.state.value,
        "stage": standing.stage,
        "reason": standing.reason,
        "champion": standing.champion,
        "challenger": standing.challenger,
    }


def _approval(standing: Standing) -> dict[str, Any]:
    """What somebody must know who says yes or no."""
    terms = standing.plan.terms
    margins = [
        f"{kpi.name} {kpi.margin:g} ({kpi.margin_unit}{', guardrail' if kpi.guardrail else ''})"
        for kpi in standing.plan.kpis
    ]
    stages = ", ".join(f"{share:.0%}" for share in terms.stages)
    return {
        **(_facts(standing) or {}),
        "model": standing.model,
        "facts": {
            "candidate": f"version {standing.challenger} of {standing.model}",
            "champion": f"version {standing.champion}",
            "kind": str(terms.kind),
            "queued": f"{standing.entered:%Y-%m-%d %H:%M} UTC",
            "shadow": f"{terms.shadow_hours:g} h",
            "stages": f"{stages} of all users in each arm, {terms.stage_hours:g} h each at least",
            "margins": "; ".join(margins),
            "horizon": f"{terms.horizon_hours:g} h",
            "data": "simulated" if standing.plan.simulated else "real",
        },
    }
