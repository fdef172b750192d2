"""The columns of the log, as every side of the comparison needs to know them."""

from __future__ import annotations

from typing import NamedTuple


class Number(NamedTuple):
    missing: float
    """Share of rows without a value."""
    scale: float
    """Median of the positive values."""
    whole: bool = True


class Category(NamedTuple):
    distinct: int
    exponent: float
    """Of the power law of the values' frequencies; 0 is uniform."""
    missing: float = 0.0


LABEL, USER, TIME = "clicked", "user_id", "time"

NUMBERS = {
    "n01": Number(0.45, 1),
    "n02": Number(0.0, 5),
    "n03": Number(0.22, 9),
    "n04": Number(0.22, 5),
    "n05": Number(0.03, 2800),
    "n06": Number(0.22, 40),
    "n07": Number(0.04, 4),
    "n08": Number(0.0, 8),
    "n09": Number(0.04, 38),
    "n10": Number(0.45, 1),
    "n11": Number(0.04, 1),
    "n12": Number(0.0, 0.3, whole=False),
    "n13": Number(0.22, 12.5, whole=False),
}
CATEGORIES = {
    "c01": Category(1_500, 1.1),
    "c02": Category(550, 1.0),
    "c03": Category(1_000_000, 0.3, 0.03),
    "c04": Category(1_000_000, 0.6, 0.03),
    "c05": Category(300, 1.2),
    "c06": Category(20, 1.3, 0.12),
    "c07": Category(12_000, 1.0),
    "c08": Category(600, 1.4),
    "c09": Category(3, 0.5),
    "c10": Category(90_000, 1.1),
    "c11": Category(5_500, 1.0),
    "c12": Category(1_000_000, 0.5, 0.03),
    "c13": Category(3_200, 1.0),
    "c14": Category(27, 1.1),
    "c15": Category(14_000, 1.1),
    "c16": Category(1_000_000, 0.8, 0.03),
    "c17": Category(10, 1.0),
    "c18": Category(5_600, 1.2),
    "c19": Category(2_100, 1.1, 0.44),
    "c20": Category(4, 0.7, 0.44),
    "c21": Category(1_000_000, 0.9, 0.03),
    "c22": Category(18, 1.5, 0.76),
    "c23": Category(15, 1.2),
    "c24": Category(280_000, 1.1, 0.03),
    "c25": Category(100, 1.0, 0.44),
    "c26": Category(140_000, 1.1, 0.44),
}

VOCABULARY_LIMIT = 100_000
"""Most frequent values that get an id of their own; all others share the next id."""
SLICED = "c09"
SPLITS = {"train": 4, "eval": 1}
