"""Simulated live traffic: real requests to a gateway that runs with `--simulated-clock`.

    python -m pipelines.shop.traffic --gateway http://127.0.0.1:8600 --from 2026-01-06T00:00 --hours 24 --visits 24000

Users ask for a list, click by the truth of that day and hour, and what they did goes back to the gateway, some of it late and
some of it twice. What is due after the last hour waits in a file for the next call, so that a day can be sent hour by hour.
Everything follows from the seed and from the lists that the gateway draws. docs/traffic.md
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import heapq
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from pipelines.errors import DaybreakError, SpecError
from pipelines.manifest import write_atomically
from pipelines.settings import Settings
from pipelines.shop.connection import Connection
from pipelines.shop.simulator import histories
from pipelines.shop.visits import POPULATION, Due, Visit, audience, follow_ups, visits
from pipelines.shop.world import CATEGORIES, POSITIONS, World

MODEL = "shop"
CONNECTIONS = 8
SLICE_SECS = 300.0
"""Simulated: the requests of a slice are under way together, then what is due by its end is sent."""
OUTCOMES_A_REQUEST = 500


class Drawn(msgspec.Struct):
    """As much of the gateway's answer as is needed."""

    decision_id: str
    items: list[str]
    arm: str


@dataclass
class Tally:
    visits: int = 0
    shown: int = 0
    clicks: int = 0
    expected: float = 0.0
    outcomes: int = 0
    arms: dict[str, int] = field(default_factory=dict)


@dataclass
class Traffic:
    world: World
    connections: Sequence[Connection]
    pending: list[Due]
    """A heap."""
    rate: float = 0.0
    """Requests a second; 0: as fast as it goes."""
    tally: Tally = field(default_factory=Tally)
    _next: float = 0.0

    async def send(self, coming: Iterator[Visit], *, until: float) -> None:
        """All of `coming`, then what is due by `until`."""
        for number, group in groupby(coming, key=lambda visit: int(visit.time // SLICE_SECS)):
            waiting = iter(list(group))
            await asyncio.gather(*(self._work(connection, waiting) for connection in self.connections))
            await self._tell(until=min(until, (number + 1) * SLICE_SECS))
        await self._tell(until=until)

    async def _work(self, connection: Connection, waiting: Iterator[Visit]) -> None:
        for visit in waiting:
            await self._keep_rate()
            answer = await connection.post(f"/v1/models/{MODEL}:decide", _body(visit), at=visit.time)
            self._take(visit, msgspec.json.decode(answer, type=Drawn))

    def _take(self, visit: Visit, drawn: Drawn) -> None:
        clicked = visit.clicks(drawn.items)
        for due in follow_ups(visit, drawn.decision_id, clicked):
            heapq.heappush(self.pending, due)
        tally = self.tally
        tally.visits += 1
        tally.shown += len(drawn.items)
        tally.clicks += len(clicked)
        tally.expected += visit.expected(drawn.items)
        tally.arms[drawn.arm] = tally.arms.get(drawn.arm, 0) + 1

    async def _keep_rate(self) -> None:
        if self.rate:
            self._next = max(self._next + 1 / self.rate, time.monotonic() - 1)
            await asyncio.sleep(max(0.0, self._next - time.monotonic()))

    async def _tell(self, *, until: float) -> None:
        while self.pending and self.pending[0].at <= until:
            found: list[Due] = []
            while self.pending and self.pending[0].at <= until and len(found) < OUTCOMES_A_REQUEST:
                found.append(heapq.heappop(self.pending))
            body = msgspec.json.encode({"outcomes": [due.outcome for due in found]})
            await self.connections[0].post("/v1/outcomes", body, at=found[-1].at)
            self.tally.outcomes += len(found)


def _body(visit: Visit) -> bytes:
    catalogue = _catalogue(visit.world)
    candidates = b",".join([catalogue[item] for item in visit.candidates.tolist()])
    return b'{"context":%b,"candidates":[%b],"count":%d}' % (visit.context, candidates, POSITIONS)


@lru_cache(maxsize=1)
def _catalogue(world: World) -> list[bytes]:
    """JSON of each item: the same in every list."""
    return [
        msgspec.json.encode(
            {"item_id": f"i{item}", "title": str(title), "category": CATEGORIES[category], "price": float(price)}
        )
        for item, (title, category, price) in enumerate(zip(world.title, world.category, world.price, strict=True))
    ]


async def run(options: argparse.Namespace, start: datetime.datetime, pending: list[Due]) -> Tally:
    """`pending` is what is left of it, and what came with it."""
    world, address = audience(options.seed, users=options.users), urlsplit(options.gateway)
    end = start + datetime.timedelta(hours=options.hours)
    async with AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(Connection(str(address.hostname), address.port or 80))
            for _ in range(options.connections)
        ]
        traffic = Traffic(world, connections, pending, rate=options.rate)
        await traffic.send(_coming(world, start, hours=options.hours, daily=options.visits), until=end.timestamp())
    return traffic.tally


def _coming(world: World, start: datetime.datetime, *, hours: int, daily: int) -> Iterator[Visit]:
    """As many in each hour, whichever call asks for it."""
    found = [start + datetime.timedelta(hours=number) for number in range(hours)]
    for day, hours_of_day in groupby(found, key=datetime.datetime.date):
        remembered = histories(world, day)
        for hour in hours_of_day:
            count = daily * (hour.hour + 1) // 24 - daily * hour.hour // 24
            yield from visits(world, hour, count=count, remembered=remembered)


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        start = _hour(options.start)
        path = options.pending or Settings.from_environment().state / "traffic" / f"{MODEL}.json"
        pending = _read(path)
        began = time.monotonic()
        tally = asyncio.run(run(options, start, pending))
        write_atomically(path, msgspec.json.encode(pending))
    except DaybreakError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(_said(tally, start, options.hours, waiting=len(pending), seconds=time.monotonic() - began))
    return 0


def _said(tally: Tally, start: datetime.datetime, hours: int, *, waiting: int, seconds: float) -> str:
    shown = max(1, tally.shown)
    arms = ", ".join(f"{count} {arm}" for arm, count in sorted(tally.arms.items()))
    return (
        f"simulated {start:%Y-%m-%dT%H:%M} + {hours} h: {tally.visits} visits ({arms}), "
        f"{tally.clicks / shown:.4f} of {tally.shown} items clicked, by the truth {tally.expected / shown:.4f}; "
        f"{tally.outcomes} outcomes, {waiting} later; {tally.visits / max(seconds, 1e-9):.0f} visits/s"
    )


def _read(path: Path) -> list[Due]:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=list[Due])
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        raise SpecError(
            f"a file of outcomes that wait is JSON of this command's own: {error}", fix="delete it", place=str(path)
        ) from error
    heapq.heapify(found)
    return found


def _hour(text: str) -> datetime.datetime:
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        found = None  # type: ignore[assignment]
    if found is None or found.minute or found.second or found.microsecond:
        raise SpecError(f"`--from` must be a whole hour. Received: --from {text}", fix="write it as 2026-01-06T13:00")
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.shop.traffic", description=__doc__.splitlines()[0])
    parser.add_argument("--gateway", required=True, help="such as http://127.0.0.1:8600")
    parser.add_argument("--from", dest="start", required=True, help="a simulated hour, UTC: 2026-01-06T13:00")
    parser.add_argument("--hours", type=int, default=1)
    parser.add_argument("--visits", type=int, default=24_000, help="a day (default %(default)s)")
    parser.add_argument("--users", type=int, default=POPULATION, help="who may come (default %(default)s)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rate", type=float, default=0.0, help="visits a second; 0, the default: as fast as it goes")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--pending", type=Path, default=None, help="default: <state>/traffic/shop.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
