"""What is measured: every side, stage and size, in which order.

cases((100_000, 1_000_000), repeats=3)[0].name      # "100000-ours-contract-1core-0"
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

FULL_ROWS = (100_000, 1_000_000, 5_000_000)
MODEL_ROWS = 20_000
STOCK_ROWS_LIMIT = 1_000_000
"""The stock ExampleGen holds its rows in memory, 7 GB per million here: 5M do not fit."""

OURS = ("contract", "examples", "statistics", "transform", "evaluate")
OURS_CHAIN = ("examples", "statistics", "transform")
"""From the raw day to what a trainer reads."""
STOCK = ("examples_csv", "examples_parquet", "statistics", "transform", "evaluate")
FRAMES = ("statistics", "transform")
WINDOW = ("first", "one_day", "next", "one_day_applied", "next_applied")
"""Of seven days, each with the rows of the size: from nothing, then the next day's; and what one day costs alone."""
WINDOW_ROWS_LIMIT = 1_000_000
ONCE_ROWS = 1_000_000
"""From this size on, what takes minutes runs once: evaluation and the window; beyond it, everything does."""


class Case(NamedTuple):
    rows: int
    side: str
    stage: str
    cores: int = 1
    repeat: int = 0
    profiled: bool = False

    @property
    def name(self) -> str:
        last = "profile" if self.profiled else str(self.repeat)
        return f"{self.rows}-{self.side}-{self.stage}-{self.cores}core-{last}"


def cases(sizes: Sequence[int], *, repeats: int) -> list[Case]:
    """Smallest size first. Within one, sides take turns; the profile comes last."""
    return [case for rows in sizes for case in _of_size(rows, repeats)]


def _of_size(rows: int, repeats: int) -> list[Case]:
    found: list[Case] = []
    for repeat in range(repeats if rows <= ONCE_ROWS else 1):
        again = repeat == 0 or rows < ONCE_ROWS
        found += [Case(rows, "ours", stage, 1, repeat) for stage in OURS if again or stage != "evaluate"]
        found += [Case(rows, "ours", stage, 2, repeat) for stage in OURS_CHAIN]
        for cores in (1, 2):
            found += [Case(rows, side, stage, cores, repeat) for side in ("polars", "duckdb") for stage in FRAMES]
        if again and rows <= WINDOW_ROWS_LIMIT:
            found += [Case(rows, "window", stage, 1, repeat) for stage in WINDOW]
        if repeat == 0 and rows <= STOCK_ROWS_LIMIT:
            found += [Case(rows, "stock", stage) for stage in STOCK if rows < ONCE_ROWS or stage != "evaluate"]
    profiled = [stage for stage in OURS if rows <= ONCE_ROWS or stage != "evaluate"]
    return found + [Case(rows, "ours", stage, profiled=True) for stage in profiled]
