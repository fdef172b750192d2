"""The freshness curve of a day, and the money in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.inference.aging import Curve, auc_losses, fit_curve, log_losses
from components.inference.net_benefit import Estimate, gross_benefit
from components.inference.units import interval, sum_by_unit
from components.worth.replay import Replay
from pipelines.spec import Worth

CURVE_FILE = "freshness.json"


def measure_curve(replay: Replay, ages: Mapping[str, int], *, metric: str) -> Curve | None:
    """`ages` by model. None for fewer than two models or two users, or where the metric is not defined."""
    models = sorted(replay.predictions, key=lambda name: ages[name])
    if len(models) < 2 or len(np.unique(replay.units)) < 2:
        return None
    predictions = np.stack([replay.predictions[name] for name in models], axis=1)
    losses, influences = (auc_losses if metric == "auc" else log_losses)(replay.labels, predictions)
    if not np.isfinite(losses).all():
        return None
    ages_of = np.array([ages[name] for name in models], np.float64)
    return fit_curve(ages_of, losses, sum_by_unit(replay.units, influences))


def gain_of_training(curve: Curve, *, champion_age: int, worth: Worth, lift_per_unit: float) -> Estimate:
    """USD until the next model: what the champion loses in the days that it is older."""
    slope = Estimate(curve.slope, *interval(curve.slope, curve.slope_error))
    return gross_benefit(
        slope.scaled(lift_per_unit * champion_age),
        requests_per_day=worth.requests_per_day,
        value_per_request_usd=worth.value_per_request_usd,
        days=worth.days_until_next_model,
    )


def curve_rows(curve: Curve | None, versions: Mapping[int, str], *, metric: str) -> list[dict[str, Any]]:
    """One for each model, the youngest first."""
    if curve is None:
        return []
    rows = []
    for place, age in enumerate(curve.ages):
        value = 1 - curve.losses[place] if metric == "auc" else curve.losses[place]
        low, high = interval(float(curve.changes[place]), float(curve.change_errors[place]))
        rows.append(
            {
                "age_days": int(age),
                "version": versions[int(age)],
                metric: float(value),
                "error": float(curve.errors[place]),
                "loss_against_youngest": float(curve.changes[place]),
                "low": low,
                "high": high,
            }
        )
    return rows


def write_curve(folder: Path, content: Mapping[str, Any], curve: Curve | None, *, metric: str) -> None:
    """`freshness.json`, and `freshness.png` where there is a curve."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CURVE_FILE).write_text(json.dumps(content, indent=1) + "\n")
    if curve is not None:
        _plot(folder / "freshness.png", curve, metric=metric)


def _plot(path: Path, curve: Curve, *, metric: str) -> None:
    # Not pyplot: it keeps state, and a warm worker's child must not look for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    bars = [interval(0.0, float(error))[1] for error in curve.change_errors]
    axes.errorbar(curve.ages, curve.changes, yerr=bars, fmt="o-", capsize=4, color="#d9622b")
    axes.axhline(0, color="#999", linewidth=1, linestyle="--")
    axes.set_xlabel("age of the model, days")
    axes.set_ylabel(f"loss against the youngest ({'1 - AUC' if metric == 'auc' else metric})")
    axes.set_xticks([int(age) for age in curve.ages])
    axes.grid(alpha=0.3)
    figure.savefig(path)
