"""What the steps after the data are told: `drift`, `train`."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipelines.spec.base import Fraction, Frozen, Positive


class Drift(Frozen):
    """Distances of today's statistics to those the champion learned from (TFDV comparators)."""

    l_infinity: dict[str, Fraction] = {}
    """Categorical columns: largest change of one value's share."""
    jensen_shannon: dict[str, Fraction] = {}
    """Numeric columns: Jensen-Shannon divergence."""


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
