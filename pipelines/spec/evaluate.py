"""What the evaluate gate is told: metrics, slices, and what of them decides.

evaluate:
  metrics: [auc, calibration, precision@0.5]
  slices: [[country], [device]]
  bounds: [{metric: auc, min: 0.6}, {metric: calibration, min: 0.9, max: 1.1, per: [country]}]
  fairness: [{feature: country, metric: auc, max_gap: 0.1}]
  against_champion: [{metric: auc, direction: higher_is_better, max_loss: 0.02}]
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipelines.errors import bounded
from pipelines.spec.base import Frozen

METRICS = (
    "auc",
    "binary_crossentropy",
    "calibration",
    "mean_label",
    "mean_prediction",
    "mean_squared_error",
    "mean_absolute_error",
    "root_mean_squared_error",
    "r_squared",
)
THRESHOLD_METRICS = ("precision", "recall")
"""Named with the threshold that predictions must exceed to count as positive: `precision@0.5`."""
_AT_THRESHOLD = re.compile(r"(precision|recall)@(0?\.\d+)")


def threshold_of(metric: str) -> float | None:
    """Of `precision@0.5` and the like; None for what has no threshold."""
    found = _AT_THRESHOLD.fullmatch(metric)
    return float(found[2]) if found else None


def _known(metric: str) -> str:
    threshold = threshold_of(metric)
    if metric not in METRICS and not threshold:
        named = [f"{name}@T" for name in THRESHOLD_METRICS]
        raise ValueError(f"no such metric; there are {', '.join([*named, *METRICS])}; T is a threshold between 0 and 1")
    return metric


Metric = Annotated[str, AfterValidator(_known)]


class Bound(Frozen):
    """An absolute bound on a metric of the candidate; its value decides on all rows, its interval in slices."""

    metric: Metric
    min: float | None = None
    max: float | None = None
    per: tuple[str, ...] = ()
    """An entry of `slices`: the bound decides in each of its slices that has `min_slice_rows`, instead of on all rows.
    A slice refuses only when its interval, made wider for the number of slices, lies outside the bound."""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError(f"the bound on {self.metric!r} needs `min` or `max`")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"the bound on {self.metric!r} has min {self.min} above max {self.max}")
        return self


class Change(Frozen):
    """A bound on candidate minus champion, on the same rows, with an interval over users.

    Refused when the whole interval loses more than `max_loss`, accepted when none of it does, else inconclusive: the
    candidate becomes challenger and the champion stays. More eval rows make the interval narrower.
    """

    metric: Metric
    direction: Literal["higher_is_better", "lower_is_better"]
    max_loss: Annotated[float, Field(ge=0)] = 0.0
    """How much worse than the champion the candidate may be, in units of the metric. With 0 only a sure gain (or the
    same predictions) is accepted."""


class Fairness(Frozen):
    """A bound on how far a metric of the candidate lies apart between the values of a sensitive column.

    Refused when the interval of the gap of some pair, made wider for the number of pairs, lies above `max_gap`,
    accepted when no pair's value does, else inconclusive.
    """

    feature: str
    """A raw column that is an entry of `slices` by itself."""
    metric: Metric
    max_gap: Annotated[float, Field(gt=0)]


class Evaluate(Frozen):
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1)] = ("auc", "binary_crossentropy", "calibration")
    slices: tuple[tuple[str, ...], ...] = ()
    """Raw columns to slice by; several in one entry are crossed."""
    min_slice_rows: Annotated[int, Field(ge=2)] = 200
    """Smaller slices have no interval and decide nothing: the report counts them."""
    tfma_rows: Annotated[int, Field(ge=0)] = 10_000
    """The node `tfma` measures so many rows too, drawn from all, by TensorFlow Model Analysis; 0: there is none."""
    bounds: tuple[Bound, ...] = ()
    fairness: tuple[Fairness, ...] = ()
    against_champion: tuple[Change, ...] = ()

    @model_validator(mode="after")
    def _bounds_name_metrics(self) -> Self:
        for metric in (one.metric for part in (self.bounds, self.fairness, self.against_champion) for one in part):
            if metric not in self.metrics:
                raise ValueError(
                    f"a bound names {metric!r}, which is not in `metrics`: {bounded(self.metrics)}; add it there"
                )
        return self

    @model_validator(mode="after")
    def _bounds_name_slices(self) -> Self:
        per = [bound.per for bound in self.bounds if bound.per]
        for columns in (*per, *((one.feature,) for one in self.fairness)):
            if columns not in self.slices:
                raise ValueError(
                    f"a bound decides by {list(columns)}, which is not an entry of `slices`: "
                    f"{bounded([str(list(entry)) for entry in self.slices])}; add it there"
                )
        return self
