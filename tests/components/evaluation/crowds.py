"""Days whose rows of one user are alike, already scored by two models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from components.evaluation.metrics import Slice, read_table, thresholds_of
from components.evaluation.scored import UNIT
from components.evaluation.sums import SliceSums
from components.evaluation.uncertainty import ByUser, Uncertainty
from tests.components.evaluation.test_sums import MODELS, batch

SLICINGS: list[tuple[str, ...]] = [(), ("city",)]


def crowd(seed: int, *, users: int = 500, cities: Sequence[str] = ("Berlin", "Rome")) -> pa.RecordBatch:
    """Both models know half of what a user likes; what they guess of the rest, they guess for all rows of the user."""
    random = np.random.default_rng(seed)
    rows = random.integers(1, 16, users)
    taste, guess = 2 * random.normal(size=users), random.normal(size=(2, users))
    odds = np.repeat(taste - 1, rows)
    scores = np.repeat(0.7 * taste + guess - 1, rows, axis=1) + 0.3 * random.normal(size=(2, rows.sum()))
    found = batch(
        labels=random.random(rows.sum()) < 1 / (1 + np.exp(-odds)),
        candidate=1 / (1 + np.exp(-scores[0])),
        champion=1 / (1 + np.exp(-scores[1])),
        city=[[str(city).encode()] for city in np.repeat(random.choice(list(cities), users), rows)],
    )
    return found.append_column(UNIT, pa.array(np.repeat(random.permutation(users).astype(np.uint64), rows)))


def measure(
    found: pa.RecordBatch, *, metrics: Sequence[str], min_rows: int = 50, by_row: bool = False
) -> tuple[dict[str, Slice], Uncertainty]:
    """`by_row`: as if each row were of a user of its own."""
    if by_row:
        units = pa.array(np.arange(found.num_rows, dtype=np.uint64))
        found = found.set_column(found.schema.get_field_index(UNIT), UNIT, units)
    sums = SliceSums(MODELS, SLICINGS, thresholds=thresholds_of(metrics)).partial(found)
    by_user = ByUser(sums, slicings=SLICINGS, models=MODELS, metrics=metrics, min_rows=min_rows)
    table = read_table(sums, slicings=SLICINGS, models=MODELS, metrics=metrics)
    return table, Uncertainty(by_user, by_user.sums_of(found))
