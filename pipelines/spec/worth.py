"""What retraining costs and what it brings, in USD: `worth`. Pipelines that leave it out are trained every day."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipelines.spec.base import Frozen, Name, Positive

NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Prices(Frozen):
    cpu_core_hour_usd: NotNegative
    """Of a busy core: CPU seconds are what is measured."""
    gb_hour_usd: NotNegative = 0
    """Of a gigabyte of a node's peak memory, while the node runs."""
    gpu_hour_usd: NotNegative = 0
    gpus: Annotated[int, Field(ge=0)] = 0
    """Held by the node `train` while it runs."""


class Freshness(Frozen):
    """Before training: models of earlier days score today's rows, and so tell what it costs to keep the champion."""

    metric: Literal["binary_crossentropy", "auc"] = "binary_crossentropy"
    lift_per_unit: Positive
    """Relative lift of the value when the metric improves by one, as earlier rollouts showed it: 0.5 says that an AUC
    higher by 0.01 brings 0.5 % more."""
    models: Annotated[int, Field(ge=2, le=14)] = 5
    """Models of the last so many days are replayed."""
    max_age_days: Annotated[int, Field(ge=1)] = 7
    """A champion is never kept longer than this after its data day."""
    drift_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Of a bound in `drift`: from there on the day is trained, whatever it costs."""
    rows: Annotated[int, Field(ge=1000, le=2_000_000)] = 200_000
    """Of the eval split, at most."""


class Worth(Frozen):
    prices: Prices
    requests_per_day: Positive
    value_per_request_usd: Positive
    days_until_next_model: Positive = 1
    extra_serving_usd_per_day: float = 0
    """Of serving the candidate instead of the champion."""
    kpi: Name | None = None
    """Of `kpis`, more of which is more value: its relative change decides. None: nothing is compared with the cost."""
    freshness: Freshness | None = None
    """None: every day is trained."""
