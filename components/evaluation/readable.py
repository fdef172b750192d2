"""The evaluation for people: a table of slices (JSON, HTML), a calibration plot and a plot of the slices (PNG)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from components.evaluation.metrics import CANDIDATE, CHAMPION, Slice

MAX_BARS, MAX_ROWS = 20, 500
_COLORS = {CANDIDATE: "#d9622b", CHAMPION: "#4a6fa5"}
_STYLE = """<style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222 }
table { border-collapse: collapse } th, td { border-bottom: 1px solid #ddd; padding: .25em .7em; text-align: right }
th:first-child, td:first-child { text-align: left; font-weight: 600 }
</style>"""


def write_readable(
    folder: Path,
    table: Mapping[str, Slice],
    *,
    metrics: Sequence[str],
    champion: str,
    calibration: Mapping[str, Sequence[tuple[float, float, float]]],
) -> None:
    """Writes `slices.json`, `slices.html`, `slices.png` and `calibration.png` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    columns, rows = slice_rows(table, metrics=metrics, champion=bool(champion))
    (folder / "slices.json").write_text(json.dumps({"columns": columns, "data": rows}))
    (folder / "slices.html").write_text(_page(columns, rows, champion=champion))
    _plot_slices(folder / "slices.png", table, metric=metrics[0])
    _plot_calibration(folder / "calibration.png", calibration)


def slice_rows(
    table: Mapping[str, Slice], *, metrics: Sequence[str], champion: bool
) -> tuple[list[str], list[list[Any]]]:
    """One row per slice; metrics of the candidate, then of the champion and the change."""
    columns = ["slice", "rows", *metrics]
    for metric in metrics if champion else ():
        columns += [f"champion {metric}", f"{metric} change"]
    rows = []
    for name, found in table.items():
        row: list[Any] = [name, found.rows, *(found.candidate.get(metric) for metric in metrics)]
        for metric in metrics if champion else ():
            ours, theirs = found.candidate.get(metric), found.champion.get(metric)
            row += [theirs, None if ours is None or theirs is None else ours - theirs]
        rows.append(row)
    return columns, rows


def _page(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, champion: str) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows[:MAX_ROWS])
    rest = f"<p>{len(rows) - MAX_ROWS} smaller slices are in slices.json.</p>" if len(rows) > MAX_ROWS else ""
    title = f"Candidate against {champion}" if champion else "Candidate, no champion to compare with"
    return f"<!doctype html><meta charset=utf-8><title>Slices</title>{_STYLE}<h2>{escape(title)}</h2><table><tr>{head}</tr>\n{body}</table>{rest}"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return (
        f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else escape(str(value))
    )


def _plot_slices(path: Path, table: Mapping[str, Slice], *, metric: str) -> None:
    shown = [(name, found) for name, found in table.items() if metric in found.candidate][:MAX_BARS]
    figure = _figure(height=1.2 + 0.32 * len(shown))
    axes = figure.add_subplot()
    for offset, (name, color) in enumerate(_COLORS.items()):
        values = [getattr(found, name).get(metric) for _, found in shown]
        places = [place + 0.2 * (2 * offset - 1) for place, value in enumerate(values) if value is not None]
        if known := [value for value in values if value is not None]:
            axes.plot(known, places, "o", color=color, label=name)
    axes.set_yticks(range(len(shown)), [f"{name} ({found.rows:,})" for name, found in shown])
    axes.invert_yaxis()
    axes.set_xlabel(metric)
    axes.grid(axis="x", alpha=0.3)
    if shown:
        axes.legend()
    figure.savefig(path)


def _plot_calibration(path: Path, curves: Mapping[str, Sequence[tuple[float, float, float]]]) -> None:
    figure = _figure(height=5)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#999", linewidth=1, linestyle="--", label="perfect")
    for name, points in curves.items():
        merged = _merge(points)
        axes.plot([x for x, _ in merged], [y for _, y in merged], "o-", color=_COLORS[name], label=name, markersize=4)
    axes.set_xlabel("mean prediction")
    axes.set_ylabel("share of positive labels")
    axes.legend()
    figure.savefig(path)


def _merge(points: Sequence[tuple[float, float, float]], *, groups: int = 20) -> list[tuple[float, float]]:
    """Neighbouring buckets joined into groups of about equal rows, so that the curve is not noise."""
    total = sum(count for _, _, count in points)
    merged: list[tuple[float, float]] = []
    x = y = rows = 0.0
    for prediction, label, count in sorted(points):
        x, y, rows = x + prediction * count, y + label * count, rows + count
        if rows >= total / groups:
            merged.append((x / rows, y / rows))
            x = y = rows = 0.0
    return [*merged, (x / rows, y / rows)] if rows else merged


def _figure(*, height: float) -> Any:
    # Not pyplot: it keeps state, and a warm worker's child must not look for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
