"""What the evaluate gate is told: metrics, slices, and what of them decides.

evaluate:
  metrics: [auc, calibration, precision@0.5]
  slices: [[country], [device]]
  bounds: [{metric: auc, min: 0.6}, {metric: calibration, min: 0.9, max: 1.1, per: [country]}]
  fairness: [{feature: country, metric: auc, max_gap: 0.1}]
  against_champion: [{metric: auc, direction: higher_is_better, max_loss: 0.02}]

With `classes: 10` a model has ten outputs, and the metrics are those of `CLASS_METRICS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

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
CLASS_METRICS = ("categorical_crossentropy", "accuracy", "macro_auc")
"""Of models of several classes; `macro_auc` is the mean of the AUC of each class against the rest."""
NUMBERED_METRICS = ("accuracy", "auc", "calibration")
"""`accuracy@3`: the label is among the three most probable classes; `auc@2`, `calibration@2`: of class 2 against the
rest."""
_NUMBERED = re.compile(r"(accuracy|auc|calibration)@(\d{1,3})")


def threshold_of(metric: str) -> float | None:
    """Of `precision@0.5` and the like; None for what has no threshold."""
    found = _AT_THRESHOLD.fullmatch(metric)
    return float(found[2]) if found else None


def number_of(metric: str) -> tuple[str, int] | None:
    """Name and number of `accuracy@3` and the like; `accuracy` is `accuracy@1`."""
    found = _NUMBERED.fullmatch("accuracy@1" if metric == "accuracy" else metric)
    return (found[1], int(found[2])) if found else None


def _known(metric: str) -> str:
    if metric not in (*METRICS, *CLASS_METRICS) and not threshold_of(metric) and not number_of(metric):
        named = [f"{name}@T" for name in THRESHOLD_METRICS]
        numbered = [f"{name}@N" for name in NUMBERED_METRICS]
        raise ValueError(
            f"no such metric; there are {', '.join([*named, *METRICS])}; T is a threshold between 0 and 1. With `classes` "
            f"there are {', '.join([*CLASS_METRICS, *numbered])}"
        )
    return metric


def require_metrics(metrics: Iterable[str], *, classes: int | None, place: str) -> None:
    """Raises `ValueError` for metrics that a model of so many classes (None: of one output) does not have."""
    unfit = [metric for metric in metrics if not _fits(metric, classes)]
    if not unfit:
        return
    if classes is None:
        raise ValueError(
            f"{place}: {bounded(unfit)} are of models of several classes; set `evaluate.classes` to how many"
        )
    raise ValueError(
        f"{place}: a model of {classes} classes has {', '.join(CLASS_METRICS)}, `accuracy@N` (N below {classes}), "
        f"`auc@C` and `calibration@C` (C from 0 to {classes - 1}). Received: {bounded(unfit)}; "
        "name those, or remove `evaluate.classes`"
    )


def _fits(metric: str, classes: int | None) -> bool:
    numbered = number_of(metric)
    if classes is None:
        return metric not in CLASS_METRICS and not numbered
    if numbered is None:
        return metric in CLASS_METRICS
    name, number = numbered
    return (name != "accuracy" or number >= 1) and number < classes


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
    classes: Annotated[int, Field(ge=2, le=100)] | None = None
    """Labels are 0 to `classes` - 1, and a model has a probability for each, which sum to one. None: one output, for a
    label that is 0 or 1 or any number."""
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

    @model_validator(mode="before")
    @classmethod
    def _metrics_of_classes(cls, given: Any) -> Any:
        has_classes = isinstance(given, dict) and given.get("classes") is not None
        return {"metrics": CLASS_METRICS} | given if has_classes else given

    @model_validator(mode="after")
    def _metrics_fit(self) -> Self:
        require_metrics(self.metrics, classes=self.classes, place="`evaluate.metrics`")
        return self

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
