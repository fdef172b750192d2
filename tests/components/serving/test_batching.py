from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from msgspec import Struct

from components.serving.batching import BATCH_ROWS, Batcher
from components.serving.engine import InputError, Predictions


class Number(Struct):
    value: float


class Doubling:
    """An engine that takes as long as it is told to, and refuses negative numbers."""

    columns: Any = ()
    signatures: Any = {}

    def __init__(self, secs: float = 0.0) -> None:
        self.calls: list[int] = []
        self._secs = secs

    def predict(self, rows: Sequence[Any]) -> Predictions:
        self.calls.append(len(rows))
        time.sleep(self._secs)
        values = np.array([[row.value] for row in rows], np.float32)
        if (values < 0).any():
            raise InputError("must not be negative")
        return values * 2

    def predict_examples(self, examples: Sequence[bytes]) -> Predictions:
        raise NotImplementedError


def run(engine: Doubling, *requests: list[float]) -> list[Any]:
    batcher = Batcher(engine)
    batcher.warm_up([Number(1.0)])
    engine.calls.clear()

    async def ask(values: list[float]) -> list[float]:
        found: list[float] = (
            (await batcher.predict([Number(value) for value in values])).predictions.reshape(-1).tolist()
        )
        return found

    async def ask_all() -> list[Any]:
        return await asyncio.gather(*map(ask, requests), return_exceptions=True)

    return asyncio.run(ask_all())


@pytest.mark.parametrize("secs", [0.0, 0.01])
def test_requests_of_one_moment_are_one_call(secs: float) -> None:
    engine = Doubling(secs)
    assert run(engine, [1.0], [2.0, 3.0], [4.0]) == [[2.0], [4.0, 6.0], [8.0]]
    assert engine.calls == [4]


def test_a_bad_row_fails_its_own_request_only() -> None:
    first, bad, last = run(Doubling(), [1.0], [-1.0], [3.0])
    assert (first, last) == ([2.0], [6.0])
    assert isinstance(bad, InputError)


def test_a_prediction_that_json_cannot_hold_is_no_answer() -> None:
    good, infinite = run(Doubling(), [1.0], [3e38])
    assert good == [2.0]
    assert isinstance(infinite, InputError) and "no finite prediction" in str(infinite)


def test_a_batch_has_a_limit_and_a_request_is_never_split() -> None:
    engine = Doubling()
    large = [1.0] * (BATCH_ROWS + 5)
    assert [len(found) for found in run(engine, large, [1.0], [2.0])] == [BATCH_ROWS + 5, 1, 1]
    assert engine.calls == [BATCH_ROWS + 5, 2]


def test_a_slow_engine_leaves_the_event_loop_to_others() -> None:
    async def turns() -> int:
        batcher = Batcher(engine)
        batcher.warm_up([Number(1.0)])
        answer, count = batcher.predict([Number(1.0)]), 0
        while not answer.done():
            await asyncio.sleep(0.001)
            count += 1
        return count

    engine = Doubling(secs=0.05)
    assert asyncio.run(turns()) > 5


def test_who_has_gone_is_not_answered() -> None:
    async def leave() -> list[float]:
        batcher = Batcher(Doubling())
        batcher.predict([Number(1.0)]).cancel()
        found: list[float] = (await batcher.predict([Number(2.0)])).predictions.reshape(-1).tolist()
        return found

    assert asyncio.run(leave()) == [4.0]


def test_an_engine_that_becomes_slow_leaves_the_event_loop_and_comes_back() -> None:
    async def work() -> list[bool]:
        batcher, found = Batcher(engine), []
        batcher.warm_up([Number(1.0)])
        for secs, times in ((0.0, 1), (0.1, 1), (0.0, 60)):
            engine._secs = secs
            for _ in range(times):
                await batcher.predict([Number(1.0)])
            found.append(batcher.inline)
        return found

    engine = Doubling()
    assert asyncio.run(work()) == [True, False, True]


def test_while_its_thread_works_a_batcher_says_how_long_and_nobody_waits_for_those_who_left() -> None:
    async def work() -> tuple[float, float]:
        batcher = Batcher(engine)
        batcher.warm_up([Number(1.0)])
        engine.calls.clear()
        first = batcher.predict([Number(1.0)])
        await asyncio.sleep(0.03)
        batcher.predict([Number(2.0)]).cancel()
        busy = batcher.busy_secs
        await first
        await asyncio.sleep(0.01)
        return busy, batcher.busy_secs

    engine = Doubling(secs=0.05)
    busy, idle = asyncio.run(work())
    assert busy > 0.02 and idle == 0.0
    assert engine.calls == [1]


def test_the_time_of_a_call_is_of_the_engine_alone() -> None:
    async def work() -> float:
        return (await Batcher(engine).predict([Number(1.0)])).millis

    engine = Doubling(secs=0.05)  # asleep, it takes no CPU
    assert asyncio.run(work()) < 20
