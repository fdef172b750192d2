"""What the steps after the data are told: `drift`, `train`, `evaluate`."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipelines.errors import bounded
from pipelines.spec.base import Fraction, Frozen, Positive


class Drift(Frozen):
    """Distances of today's statistics to those the champion learned from (TFDV comparators)."""

    l_infinity: dict[str, Fraction] = {}
    """Categorical columns: largest change of one value's share."""
    jensen_shannon: dict[str, Fraction] = {}
    """Numeric columns: Jensen-Shannon divergence."""


Metric = Literal[
    "auc",
    "binary_crossentropy",
    "calibration",
    "mean_label",
    "mean_prediction",
    "mean_squared_error",
    "mean_absolute_error",
]


class StrategyName(enum.StrEnum):
    SINGLE = "single"
    MIRRORED = "mirrored"
    MULTI_WORKER = "multi_worker"


class Train(Frozen):
    epochs: Annotated[int, Field(ge=1)] = 1
    batch_size: Annotated[int, Field(ge=1)] = 512
    """Global: examples per step over all devices and workers."""
    seed: int = 1
    strategy: StrategyName = StrategyName.SINGLE
    devices: Annotated[int, Field(ge=1)] = 1
    """Replicas in one process (`mirrored`) or processes (`multi_worker`)."""
    budget_minutes: Positive = 60
    """Training stops at the end of the step in which this is spent; the model so far is exported."""
    checkpoint_every_steps: Annotated[int, Field(ge=1)] = 500
    early_stopping_epochs: Annotated[int, Field(ge=1)] | None = None
    """Epochs without a better eval loss before training stops."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    hyperparameters: dict[str, Any] = {}
    """Handed to `build_model`."""

    @model_validator(mode="after")
    def _strategy_matches_devices(self) -> Self:
        if self.strategy is StrategyName.SINGLE and self.devices != 1:
            raise ValueError(
                f"`strategy: single` trains on one device, yet `devices` is {self.devices}; "
                "set `devices: 1`, or `strategy: mirrored` or `multi_worker`"
            )
        if self.batch_size % self.devices:
            raise ValueError(f"`batch_size` {self.batch_size} must be a multiple of `devices` {self.devices}")
        return self


class Bound(Frozen):
    """An absolute bound on a metric of the candidate."""

    metric: str
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError(f"the bound on {self.metric!r} needs `min` or `max`")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"the bound on {self.metric!r} has min {self.min} above max {self.max}")
        return self


class Change(Frozen):
    """A bound on candidate minus champion, on the same rows."""

    metric: str
    direction: Literal["higher_is_better", "lower_is_better"]
    max_loss: Annotated[float, Field(ge=0)] = 0.0
    """How much worse than the champion the candidate may be, in units of the metric."""


class Evaluate(Frozen):
    metrics: tuple[Metric, ...] = ("auc", "binary_crossentropy", "calibration")
    slices: tuple[tuple[str, ...], ...] = ()
    """Raw columns to slice by; several in one entry are crossed."""
    tfma_rows: Annotated[int, Field(ge=0)] = 10_000
    """TensorFlow Model Analysis measures so many rows too, drawn from all, for its viewers. It decides nothing."""
    bounds: tuple[Bound, ...] = ()
    against_champion: tuple[Change, ...] = ()

    @model_validator(mode="after")
    def _bounds_name_metrics(self) -> Self:
        for metric in [bound.metric for bound in self.bounds] + [change.metric for change in self.against_champion]:
            if metric not in self.metrics:
                raise ValueError(f"a bound names {metric!r}, which is not in `metrics`: {bounded(self.metrics)}")
        return self
