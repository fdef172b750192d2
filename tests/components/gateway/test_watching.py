"""Documents that come, go, break and grow old."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from components.assignment.split import Experiment, Model, Split
from tests.components.gateway.conftest import PREDICT, Gateway, row, split_of


def next_split() -> Split:
    models = (Model("6", "/models/6"), Model("8", "/models/8"))
    return split_of(version=2, models=models, experiment=Experiment("shop-18", "8", 0.5))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_corrupt_model_leaves_the_old_split_in_force_until_it_is_there(gateway: Gateway) -> None:
    gateway.broken.add("8")

    async def work() -> None:
        gateway.write(next_split())
        await until(lambda: gateway.watch.failure)
        assert (await gateway.ask("POST", PREDICT, {"instances": [row()]})).status == 200
        told = (await gateway.ask("GET", "/rollout")).json
        assert told["split"]["version"] == 1
        assert "version 8" in told["failure"] and "not a model" in told["failure"]
        assert "daybreak_split_failing 1.0" in (await gateway.ask("GET", "/metrics")).text
        gateway.broken.clear()
        await until(lambda: not gateway.watch.failure)
        assert (await gateway.ask("GET", "/rollout")).json["split"]["version"] == 2

    gateway.run(work)


@pytest.mark.parametrize("damage", ["gone", "half", "contradicting", "older"])
def test_the_last_good_document_stays(gateway: Gateway, damage: str) -> None:
    gateway.write(split_of(version=5))

    async def work() -> None:
        text = gateway.path.read_text()
        if damage == "gone":
            gateway.path.unlink()
        elif damage == "half":
            gateway.path.write_text(text[: len(text) // 2])
        elif damage == "contradicting":
            gateway.path.write_text(text.replace('"champion": "6"', '"champion": "5"'))
        else:
            gateway.write(split_of(version=4))
        await until(lambda: gateway.watch.failure)
        assert (await gateway.ask("POST", PREDICT, {"instances": [row()]})).status == 200
        gateway.write(split_of(version=6))
        await until(lambda: not gateway.watch.failure)
        assert gateway.watch.lineup is not None and gateway.watch.lineup.split.version == 6

    gateway.run(work)


def test_no_request_is_dropped_while_versions_are_swapped(gateway: Gateway) -> None:
    statuses: list[int] = []

    async def ask(number: int) -> None:
        while gateway.watch.swaps < 6:
            answer = await gateway.ask("POST", PREDICT, {"instances": [row(f"u{number}")]})
            statuses.append(answer.status)

    async def work() -> None:
        clients = [asyncio.create_task(ask(number)) for number in range(8)]
        for version in range(2, 7):
            swaps = gateway.watch.swaps
            models = (Model("6", "/models/6"), Model(str(version + 6), f"/models/{version + 6}"))
            experiment = Experiment(f"shop-{version}", str(version + 6), 0.5)
            gateway.write(split_of(version=version, models=models, experiment=experiment))
            await until(lambda swaps=swaps: gateway.watch.swaps > swaps)  # type: ignore[misc]
        await asyncio.gather(*clients)

    gateway.run(work)
    assert set(statuses) == {200} and len(statuses) > 50
    closed = {version for version, engine in gateway.engines.items() if engine.closed}
    assert closed == {"7", "8", "9", "10", "11"}


def test_a_model_that_stays_is_not_loaded_again(gateway: Gateway) -> None:
    async def work() -> tuple[bool, bool]:
        before = gateway.engines["6"]
        gateway.write(split_of(version=2, written=split_of().written + 60))
        await until(lambda: gateway.watch.swaps == 2)
        return gateway.engines["6"] is before, before.closed

    assert gateway.run(work) == (True, False)
