"""Who comes to the shop in a simulated hour, what they look for, and what they would click: fixed by the seed, whatever is shown.

for visit in visits(audience(seed=7), datetime(2026, 1, 6, 13, tzinfo=UTC), count=1000):
    clicked = visit.clicks(["i7", "i3"])                # by the truth of that day, from the top
    follow_ups(visit, "4f-1a", clicked)                 # outcomes, and when the gateway hears of them
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np

from pipelines.shop.simulator import (
    CANDIDATES,
    PURCHASE_DELAY_DAYS,
    click_probability,
    draw_candidates,
    histories,
    query_texts,
)
from pipelines.shop.world import CATEGORIES, COUNTRIES, DEVICES, POSITIONS, Floats, Ints, World

POPULATION = 60_000
"""The 4,000 users of the simulated logs, and those who were never seen: rollouts of a day need thousands in each arm."""
_STREAM = 100
"""First of the day's streams for its hours; below it are the simulator's."""
_BLOCK = 500
"""Visits whose probabilities are computed at once."""
LATE_SHARE, LATE_SECS = 0.03, 1500.0
TWICE_SHARE = 0.01
PURCHASE_SHARE = 0.125


class Due(NamedTuple):
    """An outcome as the gateway takes it, and when the client sends it."""

    at: float
    """Seconds since 1970."""
    name: str
    """So that two of one moment have an order."""
    outcome: dict[str, Any]


def audience(seed: int, *, users: int = POPULATION) -> World:
    """The world of the logs with more users: all draws are in order, so those known stay who they are."""
    return World(seed, user_count=users)


@dataclass(frozen=True)
class Visit:
    world: World
    key: int
    time: float
    """Seconds since 1970."""
    context: bytes
    """JSON: the columns that the rows of a list share."""
    candidates: Ints
    probabilities: Floats
    """`[candidates, positions]`: of a click, wherever it is shown."""
    draws: Floats
    """`[candidates]`: below its probability an item is clicked, so that another list changes nothing else."""

    def clicks(self, items: Sequence[str]) -> list[str]:
        return [item for item, place in self._places(items) if self.draws[place[0]] < self.probabilities[place]]

    def expected(self, items: Sequence[str]) -> float:
        """Clicks, by the truth."""
        return float(sum(self.probabilities[place] for _, place in self._places(items)))

    def _places(self, items: Sequence[str]) -> Iterator[tuple[str, tuple[int, int]]]:
        known = {number: index for index, number in enumerate(self.candidates.tolist())}
        for position, item in enumerate(items):
            yield item, (known[int(item[1:])], position)


def visits(world: World, hour: datetime.datetime, *, count: int, remembered: Ints | None = None) -> Iterator[Visit]:
    """In the order of time. `remembered`: `histories` of that day, for whoever asks for several of its hours."""
    day, since = hour.date(), hour.timestamp()
    draw = world.generator(day, _STREAM + hour.hour)
    users = draw.choice(world.user_count, count, p=world.user_activity)
    times = since + np.sort(draw.random(count)) * 3600
    query = np.where(draw.random(count) < 0.6, draw.integers(0, len(CATEGORIES), count), -1)
    devices = draw.choice(len(DEVICES), count, p=[0.6, 0.3, 0.1])
    candidates = draw_candidates(world, count, draw)
    draws = draw.random((count, CANDIDATES))
    keys = (world.day_number(day) * 24 + hour.hour) * 1_000_000 + np.arange(count)
    texts = query_texts(world, query, keys)
    remembered = histories(world, day) if remembered is None else remembered
    for start in range(0, count, _BLOCK):
        block = slice(start, start + _BLOCK)
        truth = _probabilities(world, day, users[block], candidates[block], query[block])
        for index, probabilities in enumerate(truth, start=start):
            user, time = int(users[index]), float(times[index])
            context = _context(world, user, int(devices[index]), texts[index], time, remembered)
            yield Visit(world, int(keys[index]), time, context, candidates[index], probabilities, draws[index])


def _probabilities(world: World, day: datetime.date, users: Ints, candidates: Ints, query: Ints) -> Floats:
    shape = (len(users), candidates.shape[1], POSITIONS)
    spread = [
        np.broadcast_to(array, shape).reshape(-1)
        for array in (users[:, None, None], candidates[:, :, None], np.arange(POSITIONS), query[:, None, None])
    ]
    found = click_probability(world, day, users=spread[0], items=spread[1], positions=spread[2], query=spread[3])
    return found.reshape(shape)


def _context(world: World, user: int, device: int, query: str, time: float, remembered: Ints) -> bytes:
    recent = [item for item in remembered[user].tolist() if item >= 0]
    return msgspec.json.encode(
        {
            "time": int(time),
            "user_id": f"u{user}",
            "country": COUNTRIES[world.user_country[user]],
            "device": DEVICES[device],
            "query": query,
            "hour": int(time) % 86_400 // 3600,
            "recent_items": [f"i{item}" for item in recent],
            "recent_categories": [CATEGORIES[world.category[item]] for item in recent],
        }
    )


def follow_ups(visit: Visit, decision: str, clicked: Sequence[str]) -> Iterator[Due]:
    """Clicks within a minute, their value, and purchases days later; some are late, some are sent twice."""
    for item in clicked:
        number = int(item[1:])
        draw = np.random.default_rng([visit.world.seed, visit.key, number])
        price, time = float(visit.world.price[number]), visit.time + draw.uniform(1, 60)
        sent = time + (draw.uniform(60, LATE_SECS) if draw.random() < LATE_SHARE else 0.0)
        for name, value in (("clicked", 1.0), ("click_value", price)):
            yield from _told(decision, item, name, value, time, sent, twice=draw.random() < TWICE_SHARE)
        if draw.random() < PURCHASE_SHARE:
            days = min(int(draw.geometric(0.55)) - 1, PURCHASE_DELAY_DAYS)
            bought = time + 60 + days * 86_400 + draw.uniform(0, 3600)
            value = round(price * int(draw.choice([1, 2, 3], p=[0.85, 0.1, 0.05])), 2)
            yield from _told(decision, item, "revenue", value, bought, bought, twice=draw.random() < TWICE_SHARE)


def _told(decision: str, item: str, name: str, value: float, time: float, sent: float, *, twice: bool) -> Iterator[Due]:
    outcome = {
        "outcome_id": f"{item}-{name}",
        "decision_id": decision,
        "item_id": item,
        "name": name,
        "value": value,
        "time": round(time, 6),
    }
    # A microsecond after it happened at the earliest: nothing is heard before.
    due = Due(sent + 1e-3, f"{decision} {item} {name}", outcome)
    yield due
    if twice:
        yield due._replace(at=due.at + 30)
