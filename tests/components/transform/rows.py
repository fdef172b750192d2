"""Rows for `features.py`: ties, empty strings, rare tokens, negative numbers, missing values, several values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from components.examples.records import to_lists
from tests.components.transform.features import KINDS


def batch(rows: int, *, seed: int) -> pa.RecordBatch:
    random = np.random.default_rng(seed)
    words = ["", "zwei", "a b", "ß", "line\nbreak", *(f"w{number}" for number in range(40))]
    lengths = random.integers(0, 6, rows)
    columns = {
        "price": random.gamma(2, 10, rows).astype("f4"),
        "size": [float(np.float32(size)) if size > 0.2 else None for size in random.normal(5, 2, rows)],
        "pair": random.normal([3, -7], [1, 100], (rows, 2)).astype("f4").tolist(),
        "number": random.integers(-30, 120, rows) ** 3,
        # Every third city is as frequent as its neighbours: ties at the cuts of top_k.
        "city": [f"city {number}" if number else "" for number in random.permutation(np.arange(rows) % 37)],
        "words": [random.choice(words, length).tolist() for length in lengths],
        "unused": ["x"] * rows,
    }
    return to_lists(pa.RecordBatch.from_pydict(columns), KINDS)
