"""Requests that the challenger answers too, after their answer was sent, and nobody sees.

    shadow = Shadow(log, deadline_secs=0.2)
    shadow.mirror(Mirrored(challenger, rows, exposure))     # never waits; counts what is too much
    await shadow.run()                                      # for ever

It works a tenth of the time at most: beyond that requests are left out and counted. A challenger that takes more than half
a millisecond has a thread of its own; a quick one has not, because two threads wait for each other's hold of the interpreter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from components.exposures.log import Log
from components.exposures.records import SHADOW, Exposure
from components.gateway.lineup import Served
from components.serving.batching import Computed, compute
from pipelines.errors import one_line

CAPACITY = 200
REST = 9
"""Seconds of rest for each of work."""


class Mirrored(NamedTuple):
    challenger: Served
    rows: Callable[[], Sequence[Struct]]
    """As the challenger reads them."""
    exposure: Exposure
    """Of the answer that was sent."""


class Shadow:
    def __init__(self, log: Log, *, deadline_secs: float) -> None:
        self.answered = self.failed = self.left_out = 0
        self._log, self._deadline_secs = log, deadline_secs
        self._queue: asyncio.Queue[Mirrored] = asyncio.Queue(CAPACITY)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shadow")

    def mirror(self, mirrored: Mirrored) -> None:
        try:
            self._queue.put_nowait(mirrored)
        except asyncio.QueueFull:
            self.left_out += 1

    async def run(self) -> None:
        while True:
            mirrored = await self._queue.get()
            began = time.perf_counter()
            await self._answer(mirrored, began)
            # Else a lineup that is over would live until the next request.
            del mirrored
            await asyncio.sleep(REST * (time.perf_counter() - began))

    async def _answer(self, mirrored: Mirrored, began: float) -> None:
        if mirrored.challenger.batcher.quick:
            found = await _compute_here(mirrored)
        else:
            found = await asyncio.get_running_loop().run_in_executor(self._thread, _compute, mirrored)
        seconds, failure = time.perf_counter() - began, ""
        if isinstance(found, Exception):
            failure, found = one_line(found), Computed([[]], seconds * 1000)  # type: ignore[arg-type]
        elif seconds > self._deadline_secs:
            failure = "deadline"
        self.failed += bool(failure)
        self.answered += not failure
        scores = [float(row[0]) for row in found.predictions if len(row)]
        self._log.expose(_exposure(mirrored, failure, latency=found.millis, scores=scores))


async def _compute_here(mirrored: Mirrored) -> Computed | Exception:
    try:
        return await mirrored.challenger.batcher.predict(mirrored.rows())
    except Exception as error:  # noqa: BLE001 - on record, and nobody else's matter
        return error


def _compute(mirrored: Mirrored) -> Computed | Exception:
    try:
        rows = mirrored.rows()
    except Exception as error:  # noqa: BLE001 - the challenger takes other columns
        return error
    return compute(mirrored.challenger.engine, rows)


def _exposure(mirrored: Mirrored, failure: str, *, latency: float, scores: list[float]) -> Exposure:
    version = mirrored.challenger.version
    return replace(
        mirrored.exposure,
        decision_id=f"{mirrored.exposure.decision_id}.shadow",
        arm=SHADOW,
        assigned_version=version,
        served_version=version,
        fallback=failure,
        latency=latency,
        scores=scores,
        propensities=[],
        floors=[],
        normalisers=[],
        context="{}",
        candidates="[]",
    )
