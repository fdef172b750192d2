"""What a trained model must show before anybody asks how good it is: `learning`."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from pipelines.spec.base import Frozen, Positive
from pipelines.spec.evaluate import Metric


class Learning(Frozen):
    """Checks on a sample of the rows it learned from and of those it did not."""

    rows: Annotated[int, Field(ge=100)] = 20_000
    """Of each split, drawn evenly from the day."""
    max_gap: dict[Metric, Positive] = {}
    """Overfitting: how much better a metric may be on the train split than on the eval split, in its units. They are
    those of `evaluate.classes`."""
    beat_constant: bool = True
    """The loss on the eval split must be below that of one prediction for all: the mean label of the train split, or
    the share of each class."""
    max_rise: Positive | None = 0.5
    """Divergence: share by which the eval loss of the exported weights may exceed the smallest of any epoch."""
    max_single_feature: Annotated[float, Field(gt=0.5, le=1)] | None = 0.98
    """Leakage: AUC (of a label that is not 0 or 1, and of classes: share of explained variance) that one feature may
    reach alone."""
    max_skew: Annotated[float, Field(ge=0)] = 1e-5
    """Features computed for a request may differ so much, relative to their size, from those it learned from."""

    @model_validator(mode="after")
    def _gaps_are_of_quality(self) -> Self:
        sideless = ("mean_label", "mean_prediction", "calibration")
        if named := sorted(metric for metric in self.max_gap if metric.partition("@")[0] in sideless):
            raise ValueError(f"`max_gap` compares metrics with a better side. Received: {', '.join(named)}")
        return self
