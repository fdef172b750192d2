"""Requests that wait at the same time are answered by one call of the engine; none waits for another to come.

    batcher = Batcher(engine)
    predictions = await batcher.predict(rows)       # [rows, outputs]

All requests that one turn of the event loop has read are a batch. While a slow engine works in its thread, the next
batch gathers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate
from statistics import median
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from components.serving.engine import Engine, InputError, Predictions

BATCH_ROWS = 256
"""Largest batch of several requests; one request is never split."""
INLINE_SECS = 0.003
"""A call that takes longer leaves the event loop to others: health checks must be answered meanwhile."""


class _Waiting(NamedTuple):
    rows: Sequence[Struct]
    answer: asyncio.Future[Predictions]


class Batcher:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._inline = False
        self._waiting: list[_Waiting] = []
        self._working = self._scheduled = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")

    def warm_up(self, rows: Sequence[Struct]) -> None:
        """Runs the engine, so that the first request finds it ready, and learns how long a call takes."""
        seconds = []
        for count in (1, 1, 2, 4, 8, 16, 1, 1, 1):
            started = time.perf_counter()
            self._engine.predict([rows[index % len(rows)] for index in range(count)])
            seconds.append(time.perf_counter() - started)
        self._inline = median(seconds[-3:]) <= INLINE_SECS

    def predict(self, rows: Sequence[Struct]) -> asyncio.Future[Predictions]:
        """Raises, when awaited, `InputError` for these rows, whatever other requests hold."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Predictions] = loop.create_future()
        self._waiting.append(_Waiting(rows, answer))
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._start)
        return answer

    def _start(self) -> None:
        self._scheduled = False
        while self._waiting and not self._working:
            batch = self._take()
            parts = [waiting.rows for waiting in batch]
            if self._inline and sum(map(len, parts)) <= BATCH_ROWS:
                _deliver(batch, _compute(self._engine, parts))
            else:
                self._working = True
                running = asyncio.get_running_loop().run_in_executor(self._thread, _compute, self._engine, parts)
                running.add_done_callback(partial(self._finish, batch))

    def _take(self) -> list[_Waiting]:
        count, rows = 1, len(self._waiting[0].rows)
        for waiting in self._waiting[1:]:
            rows += len(waiting.rows)
            if rows > BATCH_ROWS:
                break
            count += 1
        batch = self._waiting[:count]
        del self._waiting[:count]
        return batch

    def _finish(self, batch: list[_Waiting], done: asyncio.Future[list[Predictions | Exception]]) -> None:
        self._working = False
        _deliver(batch, done.result())
        self._start()


def _deliver(batch: Sequence[_Waiting], answers: Sequence[Predictions | Exception]) -> None:
    for waiting, answer in zip(batch, answers, strict=True):
        if waiting.answer.done():  # the client has gone
            continue
        if isinstance(answer, Exception):
            waiting.answer.set_exception(answer)
        else:
            waiting.answer.set_result(answer)


def _compute(engine: Engine, parts: Sequence[Sequence[Struct]]) -> list[Predictions | Exception]:
    """The answer to each part, from one call where that goes well: the rows of one must not fail its neighbours."""
    whole = _try(engine, [row for rows in parts for row in rows])
    if not isinstance(whole, Exception):
        stops = list(accumulate(map(len, parts)))
        return [whole[stop - len(rows) : stop] for stop, rows in zip(stops, parts, strict=True)]
    return [whole] if len(parts) == 1 else [_try(engine, rows) for rows in parts]


def _try(engine: Engine, rows: Sequence[Struct]) -> Predictions | Exception:
    try:
        found = engine.predict(rows)
    except Exception as error:  # noqa: BLE001 - handed to the requests that wait
        return error
    return found if np.isfinite(found).all() else InputError("the model has no finite prediction for these values")
