"""Outcome files of made-up runs."""

from __future__ import annotations

from typing import Any

from pipelines.outcome import ArtifactRef, Outcome, State, Try, write_outcome
from pipelines.settings import Settings


def outcome(
    node: str,
    *,
    run_id: str = "run-1",
    cpu_secs: float = 3600.0,
    seconds: float = 1800.0,
    stage: str = "training",
    uri: str = "",
    worked: bool = True,
    earlier: tuple[Try, ...] = (),
    state: State = State.COMPLETE,
) -> Outcome:
    """One whose work took a CPU hour, half an hour of wall-clock and two gigabytes, unless told otherwise."""
    return Outcome(
        pipeline="toy",
        run_id=run_id,
        node=node,
        stage=stage,
        day="2026-01-05",
        state=state,
        started=1000.0,
        ended=1000.0 + seconds,
        work_started=1001.0 if worked else None,
        cpu_secs=cpu_secs,
        peak_memory_bytes=2_000_000_000,
        earlier=earlier,
        outputs={"out": (ArtifactRef(type="Model", uri=uri or f"/artifacts/{node}/{run_id}"),)},
    )


def cached(node: str, *, uri: str, **changes: Any) -> Outcome:
    return outcome(node, uri=uri, worked=False, cpu_secs=2.0, seconds=3.0, state=State.CACHED, **changes)


def write(settings: Settings, *outcomes: Outcome) -> dict[str, Outcome]:
    for one in outcomes:
        write_outcome(settings, one)
    return {one.node: one for one in outcomes}
