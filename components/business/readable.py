"""Every estimator of every KPI, for people (`estimates.html`) and programs (`estimates.json`). One of them decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.inference.evaluability import NEW, REFERENCE, effective_rows
from components.inference.off_policy import (
    Estimator,
    Total,
    calibrated,
    delta,
    direct,
    doubly_robust,
    estimate,
    ips,
    logged_value,
    reference_snips,
    relative_delta,
    snips,
    switch_doubly_robust,
)
from components.inference.resampling import resampled_totals, summarise
from components.inference.units import UnitSums

ESTIMATORS: Mapping[str, Estimator] = {
    "logged": logged_value,
    "champion snips": reference_snips,
    "ips": ips,
    "snips": snips,
    "dm": calibrated(direct),
    "dr": calibrated(doubly_robust),
    "switch dr": calibrated(switch_doubly_robust),
    "delta": delta,
    "relative delta": relative_delta,
}
_SEED = 20_260_105


class Row(NamedTuple):
    estimator: str
    value: float
    error: float
    low: float
    high: float
    resampled_low: float
    resampled_high: float


def estimates(sums: UnitSums, *, resamples: int) -> list[Row]:
    """By the delta method, and by the bootstrap beside it."""
    rows, drawn = [], resampled_totals(sums.values, seed=_SEED, resamples=resamples)
    for name, estimator in ESTIMATORS.items():
        found, resampled = estimate(sums, estimator), summarise(drawn, estimator)
        rows.append(Row(name, found.value, found.error, *found.interval, *resampled.interval))
    return rows


def sizes(sums: UnitSums) -> dict[str, float]:
    totals = sums.values.sum(axis=0)
    rows = float(totals[Total.ROWS])
    found = {"rows": rows, "units": float(len(sums.units))}
    for name, policy in (("candidate", NEW), ("champion", REFERENCE)):
        effective = effective_rows(sums, policy)
        found |= {f"effective rows/{name}": effective, f"effective share/{name}": effective / rows if rows else 0.0}
        found[f"mean weight/{name}"] = float(totals[policy.weight]) / rows if rows else 0.0
    return found


def write_readable(folder: Path, tables: Mapping[str, list[Row]], sizes: Mapping[str, Mapping[str, float]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        kpi: {"sizes": dict(sizes[kpi]), "estimates": [_finite(row) for row in rows]} for kpi, rows in tables.items()
    }
    (folder / "estimates.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "estimates.html").write_text(_page(tables))


def _finite(row: Row) -> dict[str, str | float | None]:
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in row._asdict().items()
    }


def _page(tables: Mapping[str, list[Row]]) -> str:
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in Row._fields)
    parts = []
    for kpi, rows in tables.items():
        body = "".join(
            f"<tr><td>{escape(row.estimator)}</td>" + "".join(f"<td>{value:.6g}</td>" for value in row[1:]) + "</tr>"
            for row in rows
        )
        parts.append(f"<h2>{escape(kpi)}</h2><table><tr>{head}</tr>{body}</table>")
    text = "".join(parts) or "<p>Nothing was compared.</p>"
    return f"<!doctype html><meta charset=utf-8><title>Business KPIs</title>{text}\n"
