"""How one try of one node ended: `<state>/runs/<pipeline>/<run id>/nodes/<node>.json`.

Written atomically by the node runner; read by the Airflow operator, by tracking and by the decision record, so
that none of them needs the metadata database.
"""

from __future__ import annotations

import enum
from pathlib import Path

from pydantic import ValidationError

from pipelines.manifest import write_atomically
from pipelines.override import Override
from pipelines.settings import Settings
from pipelines.spec import Frozen


class State(enum.StrEnum):
    COMPLETE = "complete"
    CACHED = "cached"
    REFUSED = "refused"
    """The node ended well and published its artifacts; a gate report among them refuses the day."""
    FAILED = "failed"


class ArtifactRef(Frozen):
    type: str
    uri: str
    id: int | None = None
    properties: dict[str, str | int | float] = {}


class Try(Frozen):
    """What one try took whose work had started."""

    seconds: float
    cpu_secs: float
    peak_memory_bytes: int


class Outcome(Frozen):
    pipeline: str
    run_id: str
    node: str
    stage: str = ""
    day: str
    """ISO date of the data day."""
    parameters: dict[str, str | int] = {}
    state: State
    exit_code: int = 0
    cache: str = ""
    """`hit because …` or `missed because …`."""
    error: str = ""
    override: Override | None = None
    """A gate report among the outputs refuses the day, and a user forced the run to go on."""
    started: float
    """Seconds since 1970, UTC."""
    ended: float
    work_started: float | None = None
    """When the node's own code was about to run: after lock, inputs and cache. None when it did not run."""
    cpu_secs: float = 0.0
    peak_memory_bytes: int = 0
    earlier: tuple[Try, ...] = ()
    """Tries of this node in this run before this one, whose outcome files it replaced. One that was killed left none."""
    inputs: dict[str, tuple[ArtifactRef, ...]] = {}
    outputs: dict[str, tuple[ArtifactRef, ...]] = {}
    tracking_url: str = ""

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    @property
    def tries(self) -> tuple[Try, ...]:
        """All whose work had started; a cached node has none."""
        if self.work_started is None:
            return self.earlier
        own = Try(seconds=self.seconds, cpu_secs=self.cpu_secs, peak_memory_bytes=self.peak_memory_bytes)
        return (*self.earlier, own)


def run_folder(settings: Settings, pipeline: str, run_id: str) -> Path:
    return settings.runs / pipeline / run_id


def outcome_path(settings: Settings, pipeline: str, run_id: str, node: str) -> Path:
    return run_folder(settings, pipeline, run_id) / "nodes" / f"{node}.json"


def write_outcome(settings: Settings, outcome: Outcome) -> None:
    path = outcome_path(settings, outcome.pipeline, outcome.run_id, outcome.node)
    write_atomically(path, outcome.model_dump_json(indent=1).encode() + b"\n")


def read_outcome(path: Path) -> Outcome | None:
    """None when there is none, or none that can be read."""
    try:
        return Outcome.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def read_outcomes(settings: Settings, pipeline: str, run_id: str) -> dict[str, Outcome]:
    """All nodes of a run that ended so far, by node id; a file that cannot be read is left out."""
    paths = sorted((run_folder(settings, pipeline, run_id) / "nodes").glob("*.json"))
    return {path.stem: outcome for path in paths if (outcome := read_outcome(path))}
