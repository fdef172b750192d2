"""A simulated day of the shop, as a gateway would have logged it."""

from __future__ import annotations

import datetime
import json
from typing import NamedTuple

import pyarrow as pa

from components.exposures.records import DECIDE, Exposure, Outcome
from pipelines.shop.simulator import (
    CANDIDATES,
    EPSILON,
    POLICY,
    TEMPERATURE,
    _scores,
    decisions_table,
    impressions_table,
    items_table,
    simulate,
)
from pipelines.shop.world import POSITIONS, World

DAY = datetime.date(2026, 1, 5)
_CONTEXT = ("user_id", "time", "hour", "country", "device", "query", "recent_items", "recent_categories")


class Simulated(NamedTuple):
    rows: pa.Table
    lists: pa.Table
    items: pa.Table
    exposures: list[Exposure]
    outcomes: list[Outcome]


def simulated(rows: int) -> Simulated:
    world = World(7)
    day = simulate(world, DAY, rows=rows)
    table, lists, items = impressions_table(world, day), decisions_table(day), items_table(world)
    catalogue = {row["item_id"]: row for row in items.to_pylist()}
    scores = _scores(world, DAY, day.lists.candidates, query=day.query_categories[::POSITIONS])
    shown = table.to_pylist()
    exposures, outcomes = [], []
    for number, one in enumerate(lists.to_pylist()):
        mine = shown[number * POSITIONS : (number + 1) * POSITIONS]
        decision, time = str(one["decision_id"]), mine[0]["time"] * 1_000_000
        exposures.append(
            Exposure(
                decision_id=decision,
                time=time,
                model="shop",
                unit_id=one["user_id"],
                served_version="3",
                assigned_version="3",
                kind=DECIDE,
                policy_id=POLICY,
                exploration=one["exploration"],
                temperature=TEMPERATURE,
                epsilon=EPSILON,
                candidate_ids=one["candidate_ids"],
                scores=scores[number].tolist(),
                propensities=[row["propensity"] for row in mine],
                floors=[EPSILON / (CANDIDATES - place) for place in range(POSITIONS)],
                normalisers=[row["normaliser"] for row in mine],
                context=json.dumps({name: mine[0][name] for name in _CONTEXT}),
                candidates=json.dumps([catalogue[item] for item in one["candidate_ids"]]),
            )
        )
        for row in mine:
            for name in ("clicked", "click_value") if row["clicked"] else ():
                outcomes.append(
                    Outcome(
                        outcome_id=f"{row['impression_id']}-{name}",
                        decision_id=decision,
                        item_id=row["item_id"],
                        name=name,
                        value=float(row[name]),
                        time=time + 5_000_000,
                        received=time + 6_000_000,
                    )
                )
    return Simulated(table, lists, items, exposures, outcomes)
