"""How a candidate meets live traffic, and what promotes it or takes it back: `rollout`.

KPIs, their margins and which of them are guardrails stand in `kpis`, once for the offline gate and the online test.
"""

from __future__ import annotations

import re
import string
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipelines.spec.base import Frozen, Positive

_ADDRESS = re.compile(r"https?://[^/]+/(.+/)?v[12]/models/[^/]")
Share = Annotated[float, Field(gt=0, le=0.5)]


class Guardrails(Frozen):
    """Of the service itself; guardrails of the business are KPIs with `guardrail: true`."""

    max_error_share: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Of requests of the treatment that the champion had to answer, because the challenger failed."""
    max_p99_ratio: Annotated[float, Field(ge=1)] = 2.0
    """Of the challenger's own time against the champion's, in the same hours."""
    max_crossover: Annotated[float, Field(gt=0, le=1)] = 0.005
    """Of units that were seen in both arms; above it the rollout holds."""


class Rollout(Frozen):
    unit: str
    """Column that names the unit, such as `user_id`: it stays in its arm, and is what statistics count."""
    kind: Literal["refresh", "experiment"] = "refresh"
    """`refresh`: the same recipe on newer data, not worse than the champion by more than the margins;
    `experiment`: another recipe (`challenger`), better than the champion; both are retrained daily and keep their arm."""
    challenger: str | None = None
    """The pipeline whose candidates are the treatment of an `experiment`."""
    approval: bool = False
    """Somebody must agree before the first user meets it."""
    shadow_hours: Annotated[float, Field(ge=0)] = 1
    """Requests are mirrored to the candidate before anybody sees its answers; 0 leaves that out."""
    stages: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.05, 0.2, 0.5)
    """Share of all units in each of the two arms, stage by stage."""
    stage_hours: Positive = 24
    """At least, before the next stage; at the last stage, between two looks."""
    cohort_hours: Positive = 24
    """After its first exposure a unit's outcomes count for so long."""
    maturity_hours: Annotated[float, Field(ge=0)] = 0
    """And for so long after that outcomes may arrive late, before the unit counts at all."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """One-sided chance to promote a candidate that is worse by the margin."""
    spending: Literal["cubic", "obrien_fleming", "pocock"] = "cubic"
    looks: Annotated[int, Field(ge=1, le=50)] = 4
    """At the last stage, at most; the plan spreads the information over them."""
    guardrail_alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    """Chance, over all guardrails and all looks, to roll back a candidate that harms none."""
    users_per_arm: Annotated[int, Field(ge=100)] = 130_000
    """That the last look needs: `daybreak rollout plan NAME` computes it from margin and variance."""
    horizon_hours: Positive = 14 * 24
    """From the first stage; then it is inconclusive."""
    when_inconclusive: Literal["keep_champion", "promote"] = "keep_champion"
    watch_hours: Annotated[float, Field(ge=0)] = 24
    """After promotion, with the old champion ready and guardrails watched."""
    max_hold_hours: Positive = 48
    """In HOLD, before it is rolled back."""
    holdback: Annotated[float, Field(ge=0, le=0.1)] = 0
    """Share of units that a frozen model serves for a quarter: the anchor that proves that retraining pays."""
    quarterly_margin: Positive | None = None
    """Sum of the margins that promotions of a quarter may use up, for many small losses add up; then a person approves.
    None: it is only shown."""
    ttl_secs: Positive = 3600
    """Gateways that hear nothing newer end the experiment by themselves."""
    tick_secs: Positive = 300
    guardrails: Guardrails = Guardrails()
    engine: Literal["tensorflow", "litert"] = "tensorflow"
    """Of the gateway. `litert`: versions that `compress` made a LiteRT file for are computed by it, others by TensorFlow."""
    endpoint: str | None = None
    """Where versions are served, instead of in the gateway: `http://shop-{version}.internal/v2/models/shop`, with `{model}`,
    the pipeline of the version, for an experiment. A version that is not ready there meets nobody."""

    @field_validator("endpoint")
    @classmethod
    def _a_template(cls, endpoint: str | None) -> str | None:
        if endpoint is None:
            return None
        try:
            fields = {name for _, name, _, _ in string.Formatter().parse(endpoint) if name is not None}
        except ValueError:
            fields = set()
        if not _ADDRESS.match(endpoint) or "version" not in fields or fields - {"version", "model"}:
            raise ValueError(
                "`endpoint` is http(s)://HOST/v1/models/NAME or …/v2/models/NAME with {version} in it, and {model} if need "
                f"be. Received: {endpoint[:200]}"
            )
        return endpoint

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if list(self.stages) != sorted(set(self.stages)):
            raise ValueError(f"`stages` must rise. Received: {list(self.stages)}")
        if (self.kind == "experiment") != (self.challenger is not None):
            raise ValueError(
                "`kind: experiment` names the other recipe in `challenger`, and `refresh` has none. "
                f"Received: kind={self.kind}, challenger={self.challenger}"
            )
        if self.endpoint and self.engine != "tensorflow":
            raise ValueError(f"`endpoint` leaves the engine to the server there. Received: engine={self.engine}")
        if self.endpoint and self.challenger and "{model}" not in self.endpoint:
            raise ValueError(
                f"`endpoint` must hold {{model}}, because both recipes number their versions. Received: {self.endpoint}"
            )
        if 2 * self.stages[-1] + self.holdback > 1:
            raise ValueError(
                f"two arms of {self.stages[-1]:g} and a holdback of {self.holdback:g} are more than all units; "
                "lower the last stage"
            )
        if self.ttl_secs < 2 * self.tick_secs:
            raise ValueError(
                f"`ttl_secs` must be twice `tick_secs` or more, or a late tick ends the experiment. "
                f"Received: ttl_secs={self.ttl_secs:g}, tick_secs={self.tick_secs:g}"
            )
        return self
