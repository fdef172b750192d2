"""Requests that wait at the same time are answered by one call of the engine; none waits for another to come.

    batcher = Batcher(engine)
    found = await batcher.predict(rows)
    found.predictions                               # [rows, outputs]

All requests that one turn of the event loop has read are a batch. While a slow engine works in its thread, the next
batch gathers. An engine that becomes slow moves to its thread, and back when it is quick again. One that waits for another
process is never called on the event loop, and several of its calls may wait at a time.
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

from components.serving.engine import Engine, InputError, Predictions, Remote

BATCH_ROWS = 256
"""Largest batch of several requests; one request is never split."""
INLINE_SECS = 0.003
"""A call that takes longer leaves the event loop to others: health checks must be answered meanwhile."""
QUICK_SECS = 0.0005
"""A call that takes less is cheaper than another thread, which contends for the interpreter."""
MEMORY = 1 / 16
"""Weight of the newest call in the mean that decides where calls run: one hiccup moves nothing, one long stop does."""


REMOTE_CALLS = 4
"""At a time, of an engine that waits for another process."""


class Computed(NamedTuple):
    predictions: Predictions
    millis: float
    """CPU time of the call that these rows were part of. It runs in one thread, so neighbours on the machine and other
    threads, which make wall times of two models hard to compare, are not in it. Of another process wall time is known only."""


class _Waiting(NamedTuple):
    rows: Sequence[Struct]
    answer: asyncio.Future[Computed]


class Batcher:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._mean_secs = INLINE_SECS
        self._remote = isinstance(engine, Remote)
        self._calls = REMOTE_CALLS if self._remote else 1
        self._began: list[float] = []
        """When each call began that a thread works on."""
        self._waiting: list[_Waiting] = []
        self._scheduled = False
        self._threads = ThreadPoolExecutor(self._calls, thread_name_prefix="engine")

    def warm_up(self, rows: Sequence[Struct]) -> None:
        """Runs the engine, so that the first request finds it ready, and learns how long a call takes."""
        seconds = []
        for count in (1, 1, 2, 4, 8, 16, 1, 1, 1):
            started = time.perf_counter()
            self._engine.predict([rows[index % len(rows)] for index in range(count)])
            seconds.append(time.perf_counter() - started)
        self._mean_secs = median(seconds[-3:])

    @property
    def inline(self) -> bool:
        """Calls run on the event loop."""
        return not self._remote and self._mean_secs < INLINE_SECS

    @property
    def quick(self) -> bool:
        return not self._remote and self._mean_secs < QUICK_SECS

    @property
    def busy_secs(self) -> float:
        """How long every thread works on its call already; 0 while one is free."""
        return time.perf_counter() - max(self._began) if self._full else 0.0

    @property
    def _full(self) -> bool:
        return len(self._began) == self._calls

    def close(self) -> None:
        self._threads.shutdown(wait=False)

    def predict(self, rows: Sequence[Struct]) -> asyncio.Future[Computed]:
        """Raises, when awaited, `InputError` for these rows, whatever other requests hold."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Computed] = loop.create_future()
        self._waiting.append(_Waiting(rows, answer))
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._start)
        return answer

    def _start(self) -> None:
        self._scheduled = False
        # Who has gone meanwhile, or was answered by somebody else, need not be computed.
        self._waiting = [waiting for waiting in self._waiting if not waiting.answer.done()]
        while self._waiting and not self._full:
            batch = self._take()
            parts = [waiting.rows for waiting in batch]
            began = time.perf_counter()
            if self.inline and sum(map(len, parts)) <= BATCH_ROWS:
                answers = _compute(self._engine, parts)
                self._learn(began)
                _deliver(batch, answers)
            else:
                self._began.append(began)
                running = asyncio.get_running_loop().run_in_executor(self._threads, _compute, self._engine, parts)
                running.add_done_callback(partial(self._finish, batch, began))

    def _learn(self, began: float) -> None:
        self._mean_secs += MEMORY * (time.perf_counter() - began - self._mean_secs)

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

    def _finish(self, batch: list[_Waiting], began: float, done: asyncio.Future[list[Computed | Exception]]) -> None:
        self._began.remove(began)
        self._learn(began)
        _deliver(batch, done.result())
        self._start()


def _deliver(batch: Sequence[_Waiting], answers: Sequence[Computed | Exception]) -> None:
    for waiting, answer in zip(batch, answers, strict=True):
        if waiting.answer.done():  # the client has gone
            continue
        if isinstance(answer, Exception):
            waiting.answer.set_exception(answer)
        else:
            waiting.answer.set_result(answer)


def _compute(engine: Engine, parts: Sequence[Sequence[Struct]]) -> list[Computed | Exception]:
    """The answer to each part, from one call where that goes well: the rows of one must not fail its neighbours."""
    whole = compute(engine, [row for rows in parts for row in rows])
    if not isinstance(whole, Exception):
        stops = list(accumulate(map(len, parts)))
        return [
            Computed(whole.predictions[stop - len(rows) : stop], whole.millis)
            for stop, rows in zip(stops, parts, strict=True)
        ]
    if len(parts) == 1 or (isinstance(engine, Remote) and not isinstance(whole, InputError)):
        # A server that fails is not asked once more for each of them.
        return [whole] * len(parts)
    return [compute(engine, rows) for rows in parts]


def compute(engine: Engine, rows: Sequence[Struct]) -> Computed | Exception:
    """In the thread of the caller."""
    clock = time.perf_counter if isinstance(engine, Remote) else time.thread_time
    began = clock()
    try:
        found = engine.predict(rows)
    except Exception as error:  # noqa: BLE001 - handed to the requests that wait
        return error
    if not np.isfinite(found).all():
        return InputError("the model has no finite prediction for these values")
    return Computed(found, (clock() - began) * 1000)
