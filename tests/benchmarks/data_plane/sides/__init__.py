"""One module per side of the comparison, each with `STAGES` and `prepare(stage, work)`, which gives what is measured."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import NamedTuple


class Work(NamedTuple):
    data: Path
    """The generated day: `parquet/…` and `csv/…`."""
    folder: Path
    """Outputs of this side, a folder per stage."""
    model: Path
    """Nodes of a small day, with a model to evaluate and its transform graph."""
    cores: int


SIDES = {
    "ours": "ours",
    "stock": "stock",
    "polars": "polars_side",
    "duckdb": "duckdb_side",
    "window": "window",
    "gates": "gates",
}


def load_side(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{SIDES[name]}")
