"""One unit's rows to the model that is meant for it, and the record of what happened.

    routed = await router.answer(lineup, "u7", rows, now=now)
    router.expose(lineup, routed, Exposure(…))          # the one place for every arm

A model that fails or is late is replaced by the champion, for this request and on record; if that refuses the rows as
well, they are at fault, and the client hears why.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from msgspec import Struct

from components.assignment.buckets import Assignment, assign
from components.assignment.split import Arm
from components.exposures.log import Log
from components.exposures.records import Exposure
from components.gateway.lineup import Lineup, Served
from components.gateway.shadow import Mirrored, Shadow
from components.serving.batching import Computed
from pipelines.errors import one_line

DEADLINE_SECS = 0.2
EXPIRED, DEADLINE = "expired", "deadline"

Read = Callable[[Served], Sequence[Struct]]
"""The rows as a model reads them whose columns are not the champion's."""


class Routed(Struct, gc=False):  # type: ignore[call-arg]
    unit: str
    assignment: Assignment
    served: Served
    computed: Computed
    fallback: str
    expired: bool
    rows: Sequence[Struct]
    """As the champion reads them."""


@dataclass
class Router:
    log: Log
    gateway: str
    shadow: Shadow
    deadline_secs: float = DEADLINE_SECS

    def __post_init__(self) -> None:
        self._ids = count()
        self.answers: Counter[tuple[str, str]] = Counter()
        """By arm and version that served."""
        self.fallbacks: Counter[tuple[str, str]] = Counter()
        """By version that did not, and why."""

    def new_id(self) -> str:
        return f"{self.gateway}-{next(self._ids):x}"

    async def answer(self, lineup: Lineup, unit: str, rows: Sequence[Struct], *, now: float, read: Read) -> Routed:
        """`rows`: as the champion reads them."""
        champion, expired = lineup.champion, lineup.expired(now)
        assigned = Assignment(Arm.CHAMPION, champion.version) if expired or not unit else assign(lineup.split, unit)
        meant = lineup.served[assigned.version]
        if meant is champion:
            computed = await champion.batcher.predict(rows)
            return Routed(unit, assigned, champion, computed, EXPIRED if expired else "", expired, rows)
        try:
            computed = await self._in_time(meant, rows if meant.columns == champion.columns else read(meant))
        except Exception as error:  # noqa: BLE001 - whatever it is, the champion answers
            fallback = DEADLINE if isinstance(error, TimeoutError) else one_line(error)
            computed = await champion.batcher.predict(rows)
            self.fallbacks[meant.version, DEADLINE if fallback == DEADLINE else "error"] += 1
            return Routed(unit, assigned, champion, computed, fallback, expired, rows)
        return Routed(unit, assigned, meant, computed, "", expired, rows)

    async def _in_time(self, served: Served, rows: Sequence[Struct]) -> Computed:
        batcher = served.batcher
        if batcher.inline:
            return await batcher.predict(rows)
        if batcher.busy_secs > self.deadline_secs:
            raise TimeoutError
        return await asyncio.wait_for(batcher.predict(rows), self.deadline_secs)

    def expose(self, lineup: Lineup, routed: Routed, exposure: Exposure, read: Read) -> None:
        split, assigned = lineup.split, routed.assignment
        experiment = None if routed.expired else split.experiment
        exposure.model, exposure.unit_id, exposure.split_version = split.model, routed.unit, split.version
        exposure.rollout_id = experiment.rollout_id if experiment else ""
        exposure.arm, exposure.assigned_version = assigned.arm, assigned.version
        exposure.served_version, exposure.fallback = routed.served.version, routed.fallback
        exposure.latency = routed.computed.millis
        self.log.expose(exposure)
        self.answers[assigned.arm, routed.served.version] += 1
        if (challenger := lineup.mirrored) and experiment and routed.unit:
            alike, rows = challenger.columns == lineup.champion.columns, routed.rows
            self.shadow.mirror(Mirrored(challenger, lambda: rows if alike else read(challenger), exposure))
