"""What the demo says at its end, from the files that each retrain left.

result = read_day(settings, "shop", day="2026-01-05", run_id="shop-2026-01-05-1f0c9a3e", airflow_state="success")
print("\\n".join(render([result], seconds=300)))
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.outcome import State, read_outcomes, run_folder
from pipelines.settings import Settings

SLOWEST_SHOWN = 4


@dataclass(frozen=True, kw_only=True)
class DayResult:
    day: str
    run_id: str
    airflow_state: str
    decision: Mapping[str, Any] | None = None
    """`decision.json`; none when not even that could be written."""
    node_secs: Mapping[str, float] = field(default_factory=dict)
    failed_nodes: tuple[str, ...] = ()
    cached: int = 0

    @property
    def failed(self) -> bool:
        """A refusal is a result; this is about work that could not be done."""
        return bool(self.failed_nodes) or self.decision is None

    @property
    def verdict(self) -> str:
        return str(self.decision["verdict"]).replace("_", " ") if self.decision else "no decision"

    @property
    def model_version(self) -> str | None:
        version = ((self.decision or {}).get("model") or {}).get("version")
        return str(version) if version else None

    @property
    def headline(self) -> str:
        if self.decision is None:
            return f"no decision record; Airflow says: {self.airflow_state}"
        gate = f" by {self.decision['gate']}" if self.decision.get("gate") else ""
        return f"{self.verdict}{gate}: {_one_line(self.decision.get('reason', ''))}"

    @property
    def model(self) -> str:
        """What was registered, and what that did to the champion."""
        model = (self.decision or {}).get("model") or {}
        if not model.get("version"):
            return f"no new model: {_one_line(model['reason'])}" if model.get("reason") else "no new model"
        aliases = ", ".join(f"@{alias}" for alias in model.get("aliases", ())) or "no alias"
        moved = f"champion {model.get('champion_before') or 'none'} -> {model.get('champion_after') or 'none'}"
        return f"{model['name']} version {model['version']} ({aliases}); {moved}"


def read_day(settings: Settings, pipeline: str, *, day: str, run_id: str, airflow_state: str) -> DayResult:
    outcomes = read_outcomes(settings, pipeline, run_id)
    return DayResult(
        day=day,
        run_id=run_id,
        airflow_state=airflow_state,
        decision=_decision(settings, pipeline, run_id),
        node_secs={name: outcome.seconds for name, outcome in outcomes.items()},
        failed_nodes=tuple(name for name, outcome in outcomes.items() if outcome.state is State.FAILED),
        cached=sum(outcome.state is State.CACHED for outcome in outcomes.values()),
    )


def _decision(settings: Settings, pipeline: str, run_id: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(
            (run_folder(settings, pipeline, run_id) / "decision.json").read_text(encoding="utf-8")
        )
    except (OSError, ValueError):
        return None
    return found if "verdict" in found else None


def render(results: Sequence[DayResult], *, seconds: float) -> Iterator[str]:
    """Lines for the terminal: per day what was decided, the model, and where the time went."""
    for result in results:
        yield f"{result.day}  {result.headline}"
        yield f"            {result.model}"
        yield f"            {_times(result)}"
        if result.failed_nodes:
            yield f"            failed: {', '.join(result.failed_nodes)}"
    count = "1 day" if len(results) == 1 else f"{len(results)} days"
    yield f"{count} in {int(seconds) // 60} min {int(seconds) % 60} s, starting the services included"


def _times(result: DayResult) -> str:
    total = sum(result.node_secs.values())
    slowest = sorted(result.node_secs.items(), key=lambda item: -item[1])[:SLOWEST_SHOWN]
    shown = ", ".join(f"{name} {secs:.1f} s" for name, secs in slowest)
    cached = f", {result.cached} from the cache" if result.cached else ""
    return f"{total:.1f} s in {len(result.node_secs)} nodes{cached}" + (f": {shown}" if shown else "")


def _one_line(text: str) -> str:
    return " ".join(text.split())
