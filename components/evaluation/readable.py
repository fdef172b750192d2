"""The evaluation for people: a table of slices (JSON, HTML) with intervals, and plots (PNG)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from components.evaluation.metrics import CHAMPION, Slice, read_classes
from components.evaluation.plots import plot_calibration, plot_changes, plot_roc, plot_shares, plot_slices
from components.evaluation.sums import Sums
from components.evaluation.uncertainty import Uncertainty
from components.inference.units import interval

MAX_ROWS = 500
_STYLE = """<style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222 }
table { border-collapse: collapse } th, td { border-bottom: 1px solid #ddd; padding: .25em .7em; text-align: right }
th:first-child, td:first-child { text-align: left; font-weight: 600 }
</style>"""


def write_readable(
    folder: Path,
    table: Mapping[str, Slice],
    uncertainty: Uncertainty,
    *,
    metrics: Sequence[str],
    models: Sequence[str],
    overall: Sums | None = None,
) -> None:
    """Writes `slices.json`, `.html` and `.png`, and with rows `calibration.png`, `changes.png` and `roc.png`.

    Of several classes there is `classes.html` and `.json` instead of `roc.png`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns, rows = slice_rows(table, uncertainty, metrics=metrics, champion=CHAMPION in models)
    (folder / "slices.json").write_text(json.dumps({"columns": columns, "data": rows}))
    title = "Candidate against champion" if CHAMPION in models else "Candidate, no champion to compare with"
    (folder / "slices.html").write_text(_page(columns, rows, title=title))
    plot_slices(folder / "slices.png", table, uncertainty, metric=metrics[0])
    if overall is None:
        return
    if CHAMPION in models:
        plot_changes(folder / "changes.png", table, uncertainty, metric=metrics[0])
    if overall.outputs > 1:
        _write_classes(folder, overall, models)
        return
    plot_calibration(folder / "calibration.png", overall, models)
    plot_roc(folder / "roc.png", overall, models)


def _write_classes(folder: Path, overall: Sums, models: Sequence[str]) -> None:
    found = read_classes(overall, models)
    columns = ["class", "share of labels"]
    for name in models:
        columns += [f"{name} mean probability", f"{name} calibration", f"{name} auc against the rest"]
    rows: list[list[Any]] = []
    for number in range(overall.outputs):
        row: list[Any] = [number, found[models[0]][number].label]
        for name in models:
            label, prediction, auc = found[name][number]
            row += [prediction, prediction / label if label else None, None if math.isnan(auc) else auc]
        rows.append(row)
    (folder / "classes.json").write_text(json.dumps({"columns": columns, "data": rows}))
    (folder / "classes.html").write_text(_page(columns, rows, title="Each class against the rest"))
    plot_shares(folder / "calibration.png", found)


def slice_rows(
    table: Mapping[str, Slice], uncertainty: Uncertainty, *, metrics: Sequence[str], champion: bool
) -> tuple[list[str], list[list[Any]]]:
    """One row per slice; metrics of the candidate, then of the champion and the change; `±` is half of an interval."""
    columns = ["slice", "rows", *(name for metric in metrics for name in (metric, f"{metric} ±"))]
    for metric in metrics if champion else ():
        columns += [f"champion {metric}", f"champion {metric} ±", f"{metric} change", f"{metric} change ±"]
    rows = []
    for name, found in table.items():
        errors = uncertainty.errors(name)
        row: list[Any] = [name, found.rows]
        for metric in metrics:
            row += _with_width(found.candidate, errors.candidate, metric)
        for metric in metrics if champion else ():
            row += _with_width(found.champion, errors.champion, metric)
            row += _with_width(found.change, errors.change, metric)
        rows.append(row)
    return columns, rows


def _with_width(
    values: Mapping[str, float], errors: Mapping[str, float], metric: str
) -> tuple[float | None, float | None]:
    known = metric in values and metric in errors
    return values.get(metric), interval(0, errors[metric])[1] if known else None


def _page(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows[:MAX_ROWS])
    rest = f"<p>{len(rows) - MAX_ROWS} smaller slices are in slices.json.</p>" if len(rows) > MAX_ROWS else ""
    return f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title>{_STYLE}<h2>{escape(title)}</h2><table><tr>{head}</tr>\n{body}</table>{rest}"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return (
        f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else escape(str(value))
    )
