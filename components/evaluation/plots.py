"""Plots of the evaluation (PNG): slices, change by slice, ROC and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.evaluation.metrics import (
    CANDIDATE,
    CHAMPION,
    ClassShare,
    Slice,
    read_calibration,
    read_roc,
)
from components.evaluation.sums import Sums
from components.evaluation.uncertainty import Uncertainty
from components.inference.units import interval

MAX_BARS = 20
_COLORS = {CANDIDATE: "#d9622b", CHAMPION: "#4a6fa5"}
_GREY = {"color": "#999", "linewidth": 1, "linestyle": "--"}


def plot_slices(path: Path, table: Mapping[str, Slice], uncertainty: Uncertainty, *, metric: str) -> None:
    """Both models in the largest slices, with intervals where there are."""
    shown = [name for name, found in table.items() if metric in found.candidate][:MAX_BARS]
    figure, axes = _rows(shown, table)
    for offset, (model, color) in enumerate(_COLORS.items()):
        values = [getattr(table[name], model).get(metric) for name in shown]
        errors = [getattr(uncertainty.errors(name), model).get(metric, 0.0) for name in shown]
        _bars(axes, values, errors, offset=0.2 * (2 * offset - 1), color=color, label=model)
    axes.set_xlabel(f"{metric}, with 95 % intervals over users")
    if shown:
        axes.legend()
    figure.savefig(path)


def plot_changes(path: Path, table: Mapping[str, Slice], uncertainty: Uncertainty, *, metric: str) -> None:
    """Candidate minus champion, on the same rows."""
    shown = [name for name, found in table.items() if metric in found.change][:MAX_BARS]
    figure, axes = _rows(shown, table)
    values = [table[name].change[metric] for name in shown]
    errors = [uncertainty.errors(name).change.get(metric, 0.0) for name in shown]
    axes.axvline(0, **_GREY)
    _bars(axes, values, errors, offset=0, color=_COLORS[CANDIDATE], label="change")
    axes.set_xlabel(f"{metric} of the candidate minus that of the champion, with 95 % intervals over users")
    figure.savefig(path)


def plot_roc(path: Path, overall: Sums, models: Sequence[str]) -> None:
    figure, axes = _square("false positive rate", "true positive rate", diagonal="chance")
    for name, (false, true) in read_roc(overall, models).items():
        places = np.unique(np.searchsorted(false + true, np.linspace(0, 2, 400)).clip(max=len(false) - 1))
        axes.plot(false[places], true[places], color=_COLORS[name], label=name)
    axes.legend()
    figure.savefig(path)


def plot_calibration(path: Path, overall: Sums, models: Sequence[str]) -> None:
    figure, axes = _square("mean prediction", "share of positive labels", diagonal="perfect")
    for name, points in read_calibration(overall, models).items():
        merged = _merge(points)
        axes.plot([x for x, _ in merged], [y for _, y in merged], "o-", color=_COLORS[name], label=name, markersize=4)
    axes.legend()
    figure.savefig(path)


def plot_shares(path: Path, found: Mapping[str, Sequence[ClassShare]]) -> None:
    """A point for each class."""
    figure, axes = _square("mean probability of a class", "share of its labels", diagonal="perfect")
    for name, shares in found.items():
        predictions, labels = [one.prediction for one in shares], [one.label for one in shares]
        axes.plot(predictions, labels, "o", color=_COLORS[name], label=name, markersize=5)
    largest = 1.1 * max(max(one.label, one.prediction) for shares in found.values() for one in shares)
    axes.set_xlim(0, largest)
    axes.set_ylim(0, largest)
    axes.legend()
    figure.savefig(path)


def _bars(
    axes: Any, values: Sequence[float | None], errors: Sequence[float], *, offset: float, color: str, label: str
) -> None:
    known = [(value, place + offset, errors[place]) for place, value in enumerate(values) if value is not None]
    if known:
        x, y, widths = zip(*((value, place, interval(0, error)[1]) for value, place, error in known), strict=True)
        axes.errorbar(x, y, xerr=widths, fmt="o", color=color, label=label, capsize=2)


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


def _rows(shown: Sequence[str], table: Mapping[str, Slice]) -> tuple[Any, Any]:
    figure = _figure(height=1.2 + 0.32 * len(shown))
    axes = figure.add_subplot()
    axes.set_yticks(range(len(shown)), [f"{name} ({table[name].rows:,})" for name in shown])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    return figure, axes


def _square(x: str, y: str, *, diagonal: str) -> tuple[Any, Any]:
    figure = _figure(height=5)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], label=diagonal, **_GREY)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def _figure(*, height: float) -> Any:
    # Not pyplot: it keeps state, and a warm worker's child must not look for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
