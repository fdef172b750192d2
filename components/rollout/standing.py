"""Where a rollout stands: the row that `decide` reads and every event replaces.

decide(standing, snapshot, now=now)                 # pure: components.rollout.deciding
store.apply(standing, decision, actor="tick")       # compare-and-swap on `seq`: components.rollout.store
"""

from __future__ import annotations

import enum
from typing import Annotated

from pydantic import AwareDatetime, Field

from pipelines.spec import Frozen, Kpi, Spec
from pipelines.spec.rollout import Rollout as Terms


class State(enum.StrEnum):
    REGISTERED = "registered"
    GATED = "gated"
    AWAIT_APPROVAL = "await_approval"
    SHADOW = "shadow"
    RAMP = "ramp"
    PROMOTING = "promoting"
    WATCH = "watch"
    PROMOTED = "promoted"
    HOLD = "hold"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    INCONCLUSIVE = "inconclusive"
    SUPERSEDED = "superseded"


FINAL = frozenset({State.PROMOTED, State.ROLLED_BACK, State.INCONCLUSIVE, State.SUPERSEDED})
QUEUED = frozenset({State.REGISTERED, State.GATED, State.AWAIT_APPROVAL})
"""Nobody has met it yet: a newer candidate takes its place."""


class Plan(Frozen):
    """What was declared when the rollout began; a change of the spec touches the next one only."""

    terms: Terms
    kpis: tuple[Kpi, ...]
    simulated: bool = False


def plan_of(spec: Spec) -> Plan | None:
    """None: its candidates are promoted without live traffic."""
    return Plan(terms=spec.rollout, kpis=spec.kpis, simulated=spec.simulated) if spec.rollout else None


class Look(Frozen):
    """One analysis of the promotion test."""

    time: AwareDatetime
    information: float
    """Fraction of the planned information, from variances."""
    spent: float
    """Alpha, this look included."""
    bound: float
    """z that had to be reached."""
    z: float
    """Smallest over the KPIs that must be shown not worse."""
    snapshot: str
    """Digest."""


class Standing(Frozen):
    id: str
    """Salt of the assignment."""
    model: str
    plan: Plan
    champion: str
    """Version that it is compared with."""
    challenger: str
    state: State = State.REGISTERED
    stage: Annotated[int, Field(ge=0)] = 0
    """Index into `plan.terms.stages`, in RAMP, and in HOLD from there."""
    entered: AwareDatetime
    """The state (or stage) it is in."""
    started: AwareDatetime | None = None
    """First stage of the ramp."""
    held: State | None = None
    """Where HOLD came from, and leads back to."""
    paused: bool = False
    """In HOLD by a person's hand, or because an alias was moved: only a person leads it back."""
    reason: str = ""
    looks: tuple[Look, ...] = ()
    seq: Annotated[int, Field(ge=0)] = 0
    """Of the last event; gapless."""

    @property
    def final(self) -> bool:
        return self.state in FINAL
