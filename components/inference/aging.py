"""How much models lose with each day of age, from models of several ages on the same rows.

    losses, influences = log_losses(labels, predictions)            # [models], [rows, models]
    curve = fit_curve(ages, losses, sum_by_unit(users, influences))
    curve.slope, curve.slope_error                                  # loss per day

The slope is a weighted sum of the losses, so its influences are the same sum of theirs, and what the models have in common
(the rows) cancels. What rows cannot tell is the luck of each training; of three models and more it shows as scatter
around the line and is added. With two there is no scatter to see.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.inference.units import Floats, UnitSums, standard_errors

CLIP = 1e-7
"""For the log loss, as Keras has it."""


class Curve(NamedTuple):
    ages: Floats
    """`[models]`, days; ascending."""
    losses: Floats
    errors: Floats
    changes: Floats
    """Against the youngest."""
    change_errors: Floats
    slope: float
    slope_error: float


def log_losses(labels: Floats, predictions: Floats) -> tuple[Floats, Floats]:
    """`labels`: `[rows]`; `predictions`: `[rows, models]`. Losses `[models]`, influences `[rows, models]`."""
    clipped = np.clip(predictions, CLIP, 1 - CLIP)
    per_row = -(labels[:, None] * np.log(clipped) + (1 - labels[:, None]) * np.log1p(-clipped))
    losses = per_row.mean(axis=0)
    return losses, (per_row - losses) / len(labels)


def auc_losses(labels: Floats, predictions: Floats) -> tuple[Floats, Floats]:
    """One minus the AUC; NaN without both classes.

    Influences are structural components (DeLong, DeLong and Clarke-Pearson 1988, doi 10.2307/2531595), of users summed as
    Obuchowski (1997, doi 10.2307/2533958) does.
    """
    positive = labels > 0.5
    losses = np.full(predictions.shape[1], np.nan)
    influences = np.zeros(predictions.shape)
    if positive.all() or not positive.any():
        return losses, influences
    for model, scores in enumerate(predictions.T):
        wins = _wins(scores, positive)
        auc = wins[positive].mean()
        losses[model] = 1 - auc
        influences[:, model] = -(wins - auc) / np.where(positive, positive.sum(), (~positive).sum())
    return losses, influences


def _wins(scores: Floats, positive: npt.NDArray[np.bool_]) -> Floats:
    """`[rows]`: of a positive the share of negatives below it, of a negative the share of positives above; ties half."""
    wins = np.empty(len(scores))
    for own, other, above in ((positive, ~positive, False), (~positive, positive, True)):
        others = np.sort(scores[other])
        ranks = [np.searchsorted(others, scores[own], side=side) for side in ("left", "right")]  # type: ignore[call-overload]
        below = (ranks[0] + ranks[1]) / 2 / len(others)
        wins[own] = 1 - below if above else below
    return wins


def fit_curve(ages: Floats, losses: Floats, sums: UnitSums) -> Curve:
    """`ages` ascending, at least two different; `sums.values`: sums of influences by unit, `[units, models]`."""
    centred = ages - ages.mean()
    weights = centred / np.square(centred).sum()
    slope = float(weights @ losses)
    sampling = _error(sums, weights[:, None])[0]
    scatter = 0.0
    if len(ages) > 2:
        residuals = losses - losses.mean() - slope * centred
        scatter = float(np.sqrt(np.square(residuals).sum() / (len(ages) - 2) * np.square(weights).sum()))
    against_youngest = np.eye(len(ages))
    against_youngest[0] -= 1
    return Curve(
        ages=ages,
        losses=losses,
        errors=standard_errors(sums),
        changes=losses - losses[0],
        change_errors=_error(sums, against_youngest),
        slope=slope,
        slope_error=float(np.hypot(sampling, scatter)),
    )


def _error(sums: UnitSums, weights: Floats) -> Floats:
    return standard_errors(UnitSums(sums.units, sums.values @ weights))
