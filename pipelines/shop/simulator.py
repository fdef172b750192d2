"""Writes simulated days of the shop.

    python -m pipelines.shop.simulator --start 2026-01-05 --days 3 --rows 20000 --seed 7

    <state>/data/shop/day=2026-01-05/impressions.parquet   what the shop logged that day
    <state>/data/shop/day=2026-01-05/purchases.parquet     purchases that became known that day, of clicks up to 3 days ago
    <state>/data/shop/day=2026-01-05/decisions.parquet     every list that was shown: its candidates, and how it was chosen
    <state>/data/shop/day=2026-01-05/items.parquet         the catalogue of that day
    <state>/data/shop-truth/day=2026-01-05/truth.parquet   true click probabilities, kept apart from the data

Each day follows from the seed alone: generating it twice, or without the days before, gives the same bytes.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import DaybreakError, SpecError
from pipelines.settings import Settings
from pipelines.shop.world import CATEGORIES, COUNTRIES, DEVICES, POSITIONS, Floats, Ints, World

HISTORY = 8
"""Recently clicked items a row remembers."""
PURCHASE_DELAY_DAYS = 3
TEMPERATURE = 1.0
EPSILON = 0.2
"""Share of the places that are filled evenly, so that a candidate's policy finds everything in the log."""
CANDIDATES = 40
"""From which the logging policy draws a list."""
POLICY = "softmax-yesterday"


class Lists(NamedTuple):
    """What was drawn for each visit."""

    candidates: Ints
    """`[visits, CANDIDATES]`: those shown, from the top, then the rest."""
    propensities: Floats
    """`[visits, POSITIONS]`: probability with which the item was drawn for this place, given those above it."""
    normalisers: Floats
    """`[visits, POSITIONS]`: sum of `exp(score / temperature)` over the candidates that were left."""


@dataclass(frozen=True)
class Impressions:
    """One simulated day; arrays `[rows]`, a visit's list is `POSITIONS` neighbouring rows."""

    day: datetime.date
    users: Ints
    items: Ints
    positions: Ints
    lists: Lists
    seconds: Ints
    """Since midnight UTC."""
    devices: Ints
    query_categories: Ints
    """-1: no search."""
    histories: Ints
    """`[rows, HISTORY]` item numbers clicked before this day, most recent first; -1 pads."""
    probabilities: Floats
    clicks: Ints
    row_keys: Ints

    def __len__(self) -> int:
        return len(self.users)

    @property
    def propensities(self) -> Floats:
        return self.lists.propensities.reshape(-1)


def simulate(world: World, day: datetime.date, *, rows: int) -> Impressions:
    """Draws the day: visits by activity, a softmax policy over random candidates, clicks by the truth."""
    draw = world.generator(day, 0)
    visits = max(1, rows // POSITIONS)
    visitors = draw.choice(world.user_count, visits, p=world.user_activity)
    starts = np.sort(draw.integers(0, 86_400, visits))
    query = np.where(draw.random(visits) < 0.6, draw.integers(0, len(CATEGORIES), visits), -1)
    candidates = draw_candidates(world, visits, draw)
    lists = draw_lists(candidates, _scores(world, day, candidates, query=query), draw=draw)
    users = np.repeat(visitors, POSITIONS)
    positions = np.tile(np.arange(POSITIONS), visits)
    flat = lists.candidates[:, :POSITIONS].reshape(-1)
    probabilities = click_probability(
        world, day, users=users, items=flat, positions=positions, query=np.repeat(query, POSITIONS)
    )
    return Impressions(
        day=day,
        users=users,
        items=flat,
        positions=positions,
        lists=lists,
        seconds=np.repeat(starts, POSITIONS),
        devices=np.repeat(draw.choice(len(DEVICES), visits, p=[0.6, 0.3, 0.1]), POSITIONS),
        query_categories=np.repeat(query, POSITIONS),
        histories=histories(world, day)[users],
        probabilities=probabilities,
        clicks=(draw.random(len(users)) < probabilities).astype(np.int64),
        row_keys=world.day_number(day) * 100_000_000 + np.arange(len(users)),
    )


def click_probability(
    world: World, day: datetime.date, *, users: Ints, items: Ints, positions: Ints, query: Ints
) -> Floats:
    """The truth, `[n]`: an item of the category that was searched for is clicked twice as often."""
    found = world.click_probability(users, items, positions, day=day)
    return np.where(query == world.category[items], np.minimum(2 * found, 0.95), found)


def _scores(world: World, day: datetime.date, candidates: Ints, *, query: Ints) -> Floats:
    """`[visits, candidates]`, the shop's guess: yesterday's appeal of each item, a bonus for the searched category."""
    guess = world.item_appeal(day - datetime.timedelta(days=1))[candidates]
    return guess + 1.5 * (world.category[candidates] == query[:, None])


def draw_candidates(world: World, visits: int, draw: np.random.Generator) -> Ints:
    """`[visits, CANDIDATES]`, each item once."""
    return np.argsort(draw.random((visits, world.item_count)), axis=1)[:, :CANDIDATES]


def draw_lists(candidates: Ints, scores: Floats, *, draw: np.random.Generator) -> Lists:
    """Draws each place from the candidates left: evenly with probability EPSILON, else by a softmax (Plackett, 1975).

    The propensity is the very number that the draw compared with.
    """
    candidates, weights = candidates.copy(), np.exp(scores / TEMPERATURE)
    rows = np.arange(len(candidates))
    propensities, normalisers = (np.empty((len(candidates), POSITIONS)) for _ in range(2))
    for place in range(POSITIONS):
        left = weights[:, place:]
        normalisers[:, place] = left.sum(axis=1)
        chances = (1 - EPSILON) * left / normalisers[:, place, None] + EPSILON / left.shape[1]
        edges = np.cumsum(chances[:, :-1], axis=1)
        drawn = (edges <= draw.random((len(rows), 1))).sum(axis=1)
        propensities[:, place] = chances[rows, drawn]
        for array in (candidates, weights):
            array[rows, place + drawn], array[:, place] = array[:, place].copy(), array[rows, place + drawn]
    return Lists(candidates, propensities, normalisers)


def histories(world: World, day: datetime.date) -> Ints:
    """`[users, HISTORY]`: what each user clicked in the days before, by their taste then; up to 8, -1 pads."""
    before = day - datetime.timedelta(days=1)
    draw = world.generator(before, 1)
    tried = draw.integers(0, world.item_count, (world.user_count, 40))
    users = np.repeat(np.arange(world.user_count), tried.shape[1])
    liked = world.click_probability(users, tried.reshape(-1), np.zeros(tried.size, np.int64), day=before)
    clicked = (draw.random(tried.size) < 2.5 * liked).reshape(tried.shape)
    first = np.argsort(~clicked, axis=1, kind="stable")[:, :HISTORY]
    return np.where(np.take_along_axis(clicked, first, axis=1), np.take_along_axis(tried, first, axis=1), -1)


def impressions_table(world: World, day: Impressions) -> pa.Table:
    """What the shop logs: numeric, categorical, text and sequence columns, and the propensity in float64."""
    midnight = int(datetime.datetime.combine(day.day, datetime.time(), datetime.UTC).timestamp())
    categories = np.array(CATEGORIES)
    history_categories = [[str(categories[world.category[item]]) for item in row if item >= 0] for row in day.histories]
    return pa.table(
        {
            "impression_id": day.row_keys,
            "decision_id": day.row_keys // POSITIONS,
            "time": midnight + day.seconds,
            "hour": day.seconds // 3600,
            "user_id": _labels("u", day.users),
            "country": np.array(COUNTRIES)[world.user_country[day.users]],
            "device": np.array(DEVICES)[day.devices],
            "query": query_texts(world, day.query_categories, day.row_keys // POSITIONS),
            "item_id": _labels("i", day.items),
            "title": world.title[day.items],
            "category": categories[world.category[day.items]],
            "price": world.price[day.items],
            "position": day.positions,
            "recent_items": [[f"i{item}" for item in row if item >= 0] for row in day.histories],
            "recent_categories": history_categories,
            "policy": np.full(len(day), POLICY),
            "propensity": day.propensities,
            "propensity_floor": EPSILON / (CANDIDATES - day.positions),
            "normaliser": day.lists.normalisers.reshape(-1),
            "clicked": day.clicks,
            # Purchases are an eighth of the clicks, and late: the value of a click is what one day can tell.
            "click_value": day.clicks * world.price[day.items],
        }
    )


def decisions_table(day: Impressions) -> pa.Table:
    """A row for each visit: who chose its list, how, and from what."""
    visits = len(day) // POSITIONS
    offsets = np.arange(visits + 1, dtype=np.int32) * CANDIDATES
    items = pa.array(_labels("i", day.lists.candidates.reshape(-1)))
    constants = {
        "policy": POLICY,
        "exploration": "softmax, evenly with probability epsilon",
        "temperature": TEMPERATURE,
        "epsilon": EPSILON,
        "fallback": False,
    }
    return pa.table(
        {
            "decision_id": day.row_keys[::POSITIONS] // POSITIONS,
            "user_id": _labels("u", day.users[::POSITIONS]),
            "candidate_ids": pa.ListArray.from_arrays(offsets, items),
        }
        | {name: pa.array([value] * visits) for name, value in constants.items()}
    )


def items_table(world: World) -> pa.Table:
    """The catalogue: what of a row belongs to the item."""
    return pa.table(
        {
            "item_id": _labels("i", np.arange(world.item_count)),
            "title": world.title,
            "category": np.array(CATEGORIES)[world.category],
            "price": world.price,
        }
    )


def _labels(prefix: str, numbers: Ints) -> list[str]:
    return [f"{prefix}{number}" for number in numbers]


def query_texts(world: World, searched: Ints, keys: Ints) -> list[str]:
    """The last word of a title of the searched category, with its category; empty when nothing was searched."""
    nouns = [title.rsplit(" ", 1)[1] for title in world.title]
    by_category = [[nouns[i] for i in np.flatnonzero(world.category == c)] or [""] for c in range(len(CATEGORIES))]
    return [
        "" if category < 0 else f"{CATEGORIES[category]} {by_category[category][int(key) % len(by_category[category])]}"
        for category, key in zip(searched, keys, strict=True)
    ]


def purchases_table(world: World, day: datetime.date, *, rows: int) -> pa.Table:
    """Purchases that became known on `day`: one click in eight buys, 0 to 3 days later."""
    tables = []
    for delay in range(PURCHASE_DELAY_DAYS + 1):
        past = simulate(world, day - datetime.timedelta(days=delay), rows=rows)
        draw = world.generator(past.day, 2)
        buys = (draw.random(len(past)) < 0.125) & (past.clicks == 1)
        delays = np.minimum(draw.geometric(0.55, len(past)) - 1, PURCHASE_DELAY_DAYS)
        quantity = draw.choice([1, 2, 3], len(past), p=[0.85, 0.1, 0.05])
        known = np.flatnonzero(buys & (delays == delay))
        tables.append(
            pa.table(
                {
                    "impression_id": past.row_keys[known],
                    "user_id": pa.array(_labels("u", past.users[known]), pa.string()),
                    "item_id": pa.array(_labels("i", past.items[known]), pa.string()),
                    "delay_days": delays[known].astype(np.int64),
                    "revenue": np.round(world.price[past.items[known]] * quantity[known], 2),
                }
            )
        )
    return pa.concat_tables(tables)


def write_day(world: World, day: datetime.date, *, rows: int, data: Path) -> Path:
    """Writes one day below `data`/shop and its truth below `data`/shop-truth; an interrupted write leaves no file."""
    impressions = simulate(world, day, rows=rows)
    folder = data / "shop" / f"day={day}"
    _write(purchases_table(world, day, rows=rows), folder / "purchases.parquet")
    _write(decisions_table(impressions), folder / "decisions.parquet")
    _write(items_table(world), folder / "items.parquet")
    truth = pa.table({"impression_id": impressions.row_keys, "click_probability": impressions.probabilities})
    _write(truth, data / "shop-truth" / f"day={day}" / "truth.parquet")
    _write(impressions_table(world, impressions), folder / "impressions.parquet")
    return folder


def _write(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, temporary, compression="zstd", row_group_size=65_536)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _date(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise SpecError(
            f"`--start` must be a date such as 2026-01-05. Received: --start={text}", fix="write it as YYYY-MM-DD"
        ) from error


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipelines.shop.simulator", description=__doc__.splitlines()[0])
    parser.add_argument("--start", default="2026-01-05", help="first day (default %(default)s)")
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000, help="impressions per day (default %(default)s)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=None, help="default: <state>/data")
    arguments = parser.parse_args(argv)
    try:
        start = _date(arguments.start)
        if arguments.days < 1 or arguments.rows < POSITIONS:
            raise SpecError(
                f"at least 1 day and {POSITIONS} rows. Received: days={arguments.days}, rows={arguments.rows}",
                fix="give larger numbers",
            )
        data = arguments.out or Settings.from_environment().data
        for offset in range(arguments.days):
            day = start + datetime.timedelta(days=offset)
            print(f"simulated {write_day(World(arguments.seed), day, rows=arguments.rows, data=data)}")
    except DaybreakError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
