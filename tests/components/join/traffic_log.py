"""A log with records of our choice, in files of our choice."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from components.exposures.archiving import SCHEMAS, by_day, day_file, to_arrow
from components.exposures.journal import EXPOSURES, OUTCOMES
from components.exposures.records import DECIDE, SHADOW, Exposure, Outcome

HOUR = 3_600_000_000
START = 1_767_600_000_000_000  # 2026-01-05 08:00 UTC
ROLLOUT = "shop-7"
BEAM = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", "--direct_running_mode=in_memory"]


def write_log(
    log: Path, exposures: Sequence[Exposure], outcomes: Sequence[Outcome], *, files: int = 1, name: str = "a"
) -> None:
    """Rows in turn to `files` files of each day."""
    for kind, records in ((EXPOSURES, exposures), (OUTCOMES, outcomes)):
        for number in range(files):
            batch = to_arrow(records[number::files], SCHEMAS[kind])
            for day, part in by_day(batch):
                path = log / kind / f"day={day}" / f"{name}-{number}.parquet"
                with day_file(path, batch.schema) as writer:
                    writer.write_batch(part)


def exposure(number: int, user: int, hour: float, *, arm: str = "control", **others: object) -> Exposure:
    fields: dict[str, object] = {
        "served_version": "4" if arm == "treatment" else "3",
        "assigned_version": "4" if arm == "treatment" else "3",
        "rollout_id": ROLLOUT,
        "latency": 1.0 + number % 7,
        "kind": DECIDE,
        "propensities": [0.1] * (2 + number % 3),
        "context": f'{{"user_id":"u{user}","country":"{("de", "fr", "at")[user % 3]}","device":"phone"}}',
    }
    return Exposure(
        decision_id=f"d{number}", time=START + int(hour * HOUR), model="shop", unit_id=f"u{user}", arm=arm,
        **(fields | others),  # type: ignore[arg-type]
    )  # fmt: skip


def outcome(
    number: int, decision: int, hour: float, value: float, *, name: str = "click_value", lag: float = 0
) -> Outcome:
    return Outcome(
        outcome_id=f"o{number}",
        decision_id=f"d{decision}",
        item_id="i1",
        name=name,
        value=value,
        time=START + int(hour * HOUR),
        received=START + int((hour + lag) * HOUR),
    )


def random_traffic(seed: int, *, users: int = 60, visits: int = 400) -> tuple[list[Exposure], list[Outcome]]:
    """Three days: the day before the rollout, and two of it; some units crossed, orphans, clocks that are behind."""
    draw = random.Random(seed)
    exposures: list[Exposure] = []
    outcomes: list[Outcome] = []
    for number in range(visits):
        user, hour = draw.randrange(users), draw.uniform(-24, 48)
        arm = ("control", "treatment", "champion")[user % 3] if draw.random() > 0.01 else "treatment"
        found = {"rollout_id": "", "arm": "champion"} if hour < 0 else {"arm": arm}
        if draw.random() < 0.05 and hour >= 0:
            found["arm"] = SHADOW
        others = {"fallback": "timeout"} if draw.random() < 0.05 else {}
        if draw.random() < 0.06:
            others = {"served_version": "9"}
        exposures.append(exposure(number, user, hour, **found, **others))  # type: ignore[arg-type]
        for name in ("clicked", "click_value"):
            if draw.random() < 0.4:
                when = hour + draw.uniform(-0.1, 30)
                value = 1.0 if name == "clicked" else draw.uniform(1, 90)
                outcomes.append(outcome(len(outcomes), number, when, value, name=name, lag=draw.uniform(0, 2)))
    outcomes += [outcome(10_000 + number, 99_999 + number, 3, 1.0) for number in range(3)]
    return exposures, outcomes
