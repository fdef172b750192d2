"""Straight lines through what `docs/benchmarks/data_plane.json` holds.

slopes = fit_stages(json.loads(path.read_text())["data"])
slopes["examples"].cpu_secs.at(1_000_000), slopes["examples"].cpu_secs.per_row
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SIDE = "ours"
MIN_SIZES = 2


@dataclass(frozen=True)
class Line:
    fixed: float
    per_row: float
    error: float
    """Largest relative distance of a measurement from the line."""

    def at(self, rows: float) -> float:
        return self.fixed + self.per_row * rows


@dataclass(frozen=True)
class Slopes:
    cpu_secs: Line
    memory_bytes: Line
    """Beyond what imports take."""
    output_bytes: Line
    output_files: Line
    two_core_efficiency: float | None
    """Wall-clock on one core, divided by twice that on two, at the largest size; none where it was not measured."""


def fit_stages(data: Sequence[Mapping[str, Any]]) -> dict[str, Slopes]:
    """By stage.

    Raises:
        ValueError: a stage was measured at fewer than two sizes.
    """
    ours = [found for found in data if found["side"] == SIDE and not found["profiled"]]
    return {stage: _fit(stage, ours) for stage in dict.fromkeys(found["stage"] for found in ours)}


def _fit(stage: str, data: Sequence[Mapping[str, Any]]) -> Slopes:
    one = [found for found in data if found["stage"] == stage and found["cores"] == 1]
    sizes = sorted({int(found["rows"]) for found in one})
    if len(sizes) < MIN_SIZES:
        raise ValueError(
            f"a line needs at least {MIN_SIZES} sizes of the stage {stage!r}. Received: {sizes}; "
            "run `python -m tests.benchmarks.data_plane` first"
        )
    memory = [{**found, "data_bytes": found["peak_bytes"] - found["startup_bytes"]} for found in one]
    return Slopes(
        cpu_secs=fit_line(medians(one, "cpu_secs")),
        memory_bytes=fit_line(medians(memory, "data_bytes")),
        output_bytes=fit_line(medians(one, "output_bytes")),
        output_files=fit_line(medians(one, "output_files")),
        two_core_efficiency=_efficiency([found for found in data if found["stage"] == stage], rows=sizes[-1]),
    )


def medians(data: Sequence[Mapping[str, Any]], what: str) -> dict[int, float]:
    """By number of rows, over repeats."""
    sizes = sorted({int(found["rows"]) for found in data})
    return {rows: statistics.median(found[what] for found in data if found["rows"] == rows) for rows in sizes}


def fit_line(points: Mapping[int, float]) -> Line:
    """Least squares of the relative error, or the largest size alone would decide; neither part is negative."""
    rows, values = np.array(list(points), float), np.array(list(points.values()), float)
    weights = 1 / np.maximum(values, 1e-9)
    columns = np.stack([np.ones_like(rows), rows], axis=1) * weights[:, None]
    fixed, per_row = np.linalg.lstsq(columns, values * weights, rcond=None)[0]
    if fixed < 0:
        fixed, per_row = 0.0, np.sum(rows * values * weights**2) / np.sum((rows * weights) ** 2)
    elif per_row < 0:
        fixed, per_row = np.sum(values * weights**2) / np.sum(weights**2), 0.0
    error = np.max(np.abs(fixed + per_row * rows - values) * weights)
    return Line(float(fixed), float(per_row), float(error))


def _efficiency(data: Sequence[Mapping[str, Any]], *, rows: int) -> float | None:
    wall = {
        cores: [found["wall_secs"] for found in data if found["rows"] == rows and found["cores"] == cores]
        for cores in (1, 2)
    }
    if not all(wall.values()):
        return None
    return statistics.median(wall[1]) / (2 * statistics.median(wall[2]))
