"""A gateway in this process, with engines that can be told to fail, and a log that is read from memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx
import numpy as np
import pytest
from msgspec import Struct

from components.assignment.split import Experiment, Model, PolicyTerms, Split, write_split
from components.exposures.log import Counts
from components.exposures.records import Exposure, Outcome
from components.gateway.application import Application
from components.gateway.clock import Clock
from components.gateway.routing import Router
from components.gateway.shadow import Shadow
from components.gateway.watching import SplitWatch
from components.serving.asgi import Frame, Limits
from components.serving.columns import Column
from components.serving.engine import Engine, Predictions
from components.serving.engines.addresses import is_address
from components.serving.engines.loading import load_engine
from pipelines.errors import TransientError
from tests.components.serving.conftest import model  # noqa: F401
from tests.components.training.conftest import transformed  # noqa: F401

NOW = 1_767_600_000.0
DECIDE, PREDICT = "/v1/models/shop:decide", "/v1/models/shop:predict"
Found = TypeVar("Found")


class Toy:
    """Predicts from the price; version `v` says `v / 100` more."""

    columns: tuple[Column, ...] = (
        Column("country", "text", None),
        Column("item_id", "text", (1,)),
        Column("position", "int", (1,)),
        Column("price", "float", (1,)),
    )
    signatures: Any = {}

    def __init__(self, version: str) -> None:
        self.version, self.calls, self.closed = version, 0, False
        self.failure: Exception | None = None
        self.secs = 0.0
        self.positions: list[int] = []

    def predict(self, rows: Sequence[Struct]) -> Predictions:
        self.calls += 1
        time.sleep(self.secs)
        if self.failure:
            raise self.failure
        self.positions.extend(row.c2 for row in rows)  # type: ignore[attr-defined]
        prices = np.array([_one(row.c3) for row in rows], np.float32)  # type: ignore[attr-defined]
        return (0.1 + prices / 100 + int(self.version) / 100)[:, None].astype(np.float32)

    def predict_examples(self, examples: Sequence[bytes]) -> Predictions:
        return np.full((len(examples), 1), 0.5, np.float32)

    def close(self) -> None:
        self.closed = True


def _one(value: Any) -> float:
    return float(value[0] if isinstance(value, list) else value)


class MemoryLog:
    """What a gateway needs of `components.exposures.log.Log`, whose own tests are with it."""

    def __init__(self) -> None:
        self.exposures: list[Exposure] = []
        self.outcomes: list[Outcome] = []
        self.full = False

    def expose(self, exposure: Exposure) -> None:
        self.exposures.append(exposure)

    async def record(self, outcomes: Sequence[Outcome]) -> None:
        if self.full:
            raise TransientError("no space left")
        self.outcomes.extend(outcomes)

    @property
    def counts(self) -> Counts:
        return Counts(len(self.exposures), len(self.outcomes), 0, 0)


def split_of(**changes: Any) -> Split:
    known: dict[str, Any] = {
        "model": "shop",
        "version": 1,
        "written": NOW,
        "ttl_secs": 3600.0,
        "unit": "user_id",
        "champion": "6",
        "models": tuple(Model(version, f"/models/{version}") for version in ("6", "7")),
        "experiment": Experiment("shop-17", "7", 0.5),
        "policy": PolicyTerms("shop-policy", "item_id", "position", 1.0, 0.2),
    }
    return Split(**known | changes)


class Answer(NamedTuple):
    status: int
    json: Any
    headers: httpx.Headers
    text: str


class Gateway:
    """`gateway.ask("POST", path, body)` runs inside `gateway.run(…)`."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.path, self.log, self.engines = folder / "split.json", MemoryLog(), dict[str, Toy]()
        self.broken: set[str] = set()
        self.shadow = Shadow(self.log, deadline_secs=0.1)  # type: ignore[arg-type]
        self.router = Router(self.log, "g", self.shadow, deadline_secs=0.1)  # type: ignore[arg-type]
        frame = Frame(Limits(body_bytes=100_000, in_flight=options.get("in_flight", 100)))
        self.application = Application(frame, self.router, Clock(simulated=options.get("simulated", True)))
        self.watch = SplitWatch(
            self.path, load=self._load, on_change=self.application.take, poll_secs=0.01, retry_secs=0.05
        )
        self.application.watch(self.watch)

    def _load(self, uri: str) -> Engine:
        if is_address(uri):
            return load_engine(uri)
        name = Path(uri).name
        if name in self.broken:
            raise OSError(f"{uri}: not a model")
        made = self.engines[name] = Toy(name)
        return made

    def write(self, split: Split) -> None:
        write_split(self.path, split)

    def run(self, work: Callable[[], Awaitable[Found]]) -> Found:
        async def whole() -> Found:
            await self.watch.look()
            tasks = [asyncio.create_task(each()) for each in (self.watch.run, self.shadow.run)]
            transport = httpx.ASGITransport(self.application)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as self._client:
                found = await work()
            for task in tasks:
                task.cancel()
            return found

        return asyncio.run(whole())

    async def ask(self, method: str, path: str, body: Any = None, *, at: float = NOW, **headers: str) -> Answer:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if self.application._clock.simulated:
            headers = {"x-simulated-time": str(at), **headers}
        found = await self._client.request(method, path, content=content, headers=headers)
        is_json = found.headers["content-type"] == "application/json"
        return Answer(found.status_code, found.json() if is_json else None, found.headers, found.text)

    def ask_once(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        return self.run(lambda: self.ask(method, path, body, **options))


def row(unit: str = "u1", price: float = 1.0) -> dict[str, Any]:
    return {"user_id": unit, "country": "de", "item_id": "i1", "position": 0, "price": price}


def decide(unit: str = "u1", candidates: int = 5, count: int = 3) -> dict[str, Any]:
    items = [{"item_id": f"i{index}", "price": float(index)} for index in range(candidates)]
    return {"context": {"user_id": unit, "country": "de"}, "candidates": items, "count": count}


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    made = Gateway(tmp_path)
    made.write(split_of())
    return made


@pytest.fixture(scope="session")
def arms() -> dict[str, list[str]]:
    """Units of the document's experiment by arm."""
    from components.assignment.buckets import assign

    found: dict[str, list[str]] = {}
    for number in range(40):
        found.setdefault(assign(split_of(), f"u{number}").arm, []).append(f"u{number}")
    return found
