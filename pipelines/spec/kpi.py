"""What the business counts, and how a model's scores become what users see: `kpis`, `policy`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipelines.errors import bounded
from pipelines.spec.base import CREDENTIALS, Frozen, Name


class Kpi(Frozen):
    """Numerator over denominator, each summed over all rows. Declared once: every comparison of two models reads it."""

    name: Name
    numerator: str
    """Numeric column of the rows, such as the value of what was clicked."""
    denominator: str | None = None
    """Numeric column; without one the KPI is per row."""
    direction: Literal["higher_is_better", "lower_is_better"] = "higher_is_better"
    margin: Annotated[float, Field(ge=0)]
    """How much worse than the champion a candidate may be."""
    margin_unit: Literal["relative", "absolute"] = "relative"
    """`relative`: a share of the champion's value; `absolute`: in units of the KPI."""
    attribution_days: Annotated[int, Field(ge=0, le=90)] = 0
    """Days after a row until its numerator is complete."""
    guardrail: bool = False
    """It must not be harmed: a loss beyond the margin that is certain refuses, yet nobody has to prove there is none."""


class Policy(Frozen):
    """A list is drawn from the top: each item by a softmax over the scores of those left, or evenly with `epsilon`."""

    decisions: str
    """Parquet with a row for each list that was shown, `{day}` in its path: columns `decision` and `candidates`.
    `${NAME:-default}` is read from the environment."""
    items: str
    """Parquet with a row for each item as it was that day, `{day}` in its path: column `item`, and every column of the
    rows that belongs to the item. The other columns of a row belong to the list it is in."""
    decision: str = "decision_id"
    candidates: str = "candidate_ids"
    """List of items: those shown, from the top, then the rest."""
    item: str = "item_id"
    position: str = "position"
    """From 0, the top. Models score every candidate as if it stood there."""
    propensity: str = "propensity"
    """Probability with which the item was chosen, given those above it, as the code that chose it computed it."""
    floor: str = "propensity_floor"
    """Least probability that any item had that could have stood there; 0 when something could not be shown at all."""
    temperature: Annotated[float, Field(ge=0.01)] = 1.0
    """Of the softmax; larger is nearer to even."""
    epsilon: Annotated[float, Field(ge=0, le=1)] = 0.0
    score: Literal["probability", "number"] = "probability"
    """What models predict: of a probability the log-odds enter the softmax."""
    bootstrap_resamples: Annotated[int, Field(ge=100, le=10_000)] = 1000

    @property
    def row_columns(self) -> tuple[str, ...]:
        return (self.decision, self.item, self.position, self.propensity, self.floor)

    @field_validator("decisions", "items")
    @classmethod
    def _of_a_day(cls, path: str) -> str:
        if "{day}" not in path:
            raise ValueError("there is one for each day: its path holds `{day}`")
        if CREDENTIALS.search(path):
            raise ValueError("a URI must not hold credentials; they come from the environment, see docs/storage.md")
        return path


def require_kpis(kpis: tuple[Kpi, ...]) -> None:
    """Raises `ValueError` for names given twice, and for guardrails without a KPI that decides."""
    names = [kpi.name for kpi in kpis]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"`kpis` have a name each. Received twice: {bounded(twice)}")
    if kpis and all(kpi.guardrail for kpi in kpis):
        raise ValueError(f"one of `kpis` must decide; all are guardrails: {bounded(names)}. Remove a `guardrail: true`")
