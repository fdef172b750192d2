"""What a snapshot is asked for, and the tables between its steps."""

from __future__ import annotations

import datetime
from typing import NamedTuple, Self

import pyarrow as pa

from pipelines.spec import Kpi
from pipelines.spec.rollout import Rollout

CHAMPION, CONTROL, TREATMENT, SHADOW = range(4)
"""Codes of arms in the rollout; `CHAMPION`: everything of the model outside of the two."""
FOREIGN = -1
"""Of another model."""
HOUR_MICROS = 3_600_000_000

GAINS = pa.schema(
    [
        ("unit_id", pa.string()),
        ("arm", pa.int8()),
        ("when", pa.int64()),
        ("column", pa.int16()),  # place in `Question.columns`
        ("value", pa.float64()),
    ]
)
OUTCOMES = pa.schema(
    [
        ("outcome_id", pa.string()),
        ("decision_id", pa.string()),
        ("name", pa.string()),
        ("value", pa.float64()),
        ("time", pa.int64()),
        ("received", pa.int64()),
    ]
)


class Question(NamedTuple):
    model: str
    rollout_id: str
    as_of: int
    """Microseconds, as all times here."""
    since: int
    """The rollout began; outcomes from before are nobody's orphans."""
    cohort: int
    maturity: int
    kpis: tuple[Kpi, ...]
    slices: tuple[str, ...]
    """Columns of a request's context."""

    @classmethod
    def of(
        cls,
        terms: Rollout,
        kpis: tuple[Kpi, ...],
        *,
        model: str,
        rollout_id: str,
        as_of: datetime.datetime,
        since: datetime.datetime,
        slices: tuple[str, ...],
    ) -> Self:
        return cls(
            model=model,
            rollout_id=rollout_id,
            as_of=micros(as_of),
            since=micros(since),
            cohort=int(terms.cohort_hours * HOUR_MICROS),
            maturity=int(terms.maturity_hours * HOUR_MICROS),
            kpis=kpis,
            slices=slices,
        )

    @property
    def columns(self) -> list[str]:
        """Names of outcomes that KPIs are made of."""
        return sorted({name for kpi in self.kpis for name in (kpi.numerator, kpi.denominator) if name})

    @property
    def exposures(self) -> pa.Schema:
        """One row for each answer."""
        return pa.schema(
            [
                ("decision_id", pa.string()),
                ("unit_id", pa.string()),
                ("time", pa.int64()),
                ("arm", pa.int8()),
                ("fallback", pa.int8()),
                ("mismatch", pa.int8()),
                ("latency", pa.float64()),
                ("shown", pa.int32()),
                *((f"slice.{name}", pa.string()) for name in self.slices),
            ]
        )

    @property
    def visits(self) -> pa.Schema:
        """As `exposures`, those in the rollout."""
        left_out = {"decision_id", "fallback", "mismatch", "latency"}
        return pa.schema([field for field in self.exposures if field.name not in left_out] + [("tie", pa.uint64())])


def micros(time: datetime.datetime) -> int:
    return (time - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)


def moment(time: int) -> datetime.datetime:
    return datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=time)
