"""Step 3: all rows of a bucket's units become sums by KPI, slice and arm."""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.aggregation import Kernel
from components.join.matching import GAINS_PIECE, TRAFFIC_PIECE, VISITS_PIECE
from components.join.pieces import Floats, Ints, column, gathered, numbers
from components.join.question import CHAMPION, CONTROL, GAINS, SHADOW, TREATMENT, Question
from components.join.shredding import Piece
from components.join.traffic import Traffic
from pipelines.spec import Kpi

_NEVER = np.iinfo(np.int64).max // 4
Key = tuple[str, str, int]
"""KPI, slice such as `country=de` or "" for all, code of the arm."""


def _no_sums() -> Floats:
    return np.zeros(10)


def _sums_by_key() -> dict[Key, Floats]:
    return defaultdict(_no_sums)


def _counts() -> dict[int, int]:
    return defaultdict(int)


@dataclass
class Cohorts:
    sums: dict[Key, Floats] = field(default_factory=_sums_by_key)
    """In the order of the fields of `Sums`."""
    units: dict[int, int] = field(default_factory=_counts)
    crossed: int = 0
    traffic: Traffic = field(default_factory=Traffic)


class Units(NamedTuple):
    """Of one bucket, arrays `[units]`, in the order of their names."""

    names: pa.Array
    first: Ints
    """Time of the first exposure in an arm; far away for those without one."""
    arm: Ints
    crossed: npt.NDArray[np.bool_]
    visits: pa.Table
    """By unit and time."""
    unit_of_visit: Ints


class SumUnits(Kernel[Sequence[Piece], Cohorts]):
    def __init__(self, question: Question) -> None:
        self._question = question

    def partial(self, element: Sequence[Piece]) -> Cohorts:
        found = Cohorts()
        for kind, piece in element:
            if kind == TRAFFIC_PIECE:
                found.traffic.merge(pickle.loads(piece))  # noqa: S301 - our own workers wrote it
        visits = [piece for kind, piece in element if kind == VISITS_PIECE]
        if visits:
            gains = gathered([piece for kind, piece in element if kind == GAINS_PIECE], GAINS)
            self._add(found, _units(gathered(visits, self._question.visits)), gains)
        return found

    def merge(self, partials: Sequence[Cohorts]) -> Cohorts:
        merged = Cohorts()
        for one in partials:
            for key in sorted(one.sums):
                merged.sums[key] = merged.sums[key] + one.sums[key]
            for code, count in one.units.items():
                merged.units[code] += count
            merged.crossed += one.crossed
            merged.traffic.merge(one.traffic)
        return merged

    def _add(self, found: Cohorts, units: Units, gains: pa.Table) -> None:
        for code in (CONTROL, TREATMENT):
            found.units[code] = int(((units.arm == code) & ~units.crossed).sum())
        shadows = units.unit_of_visit[column(units.visits, "arm") == SHADOW]
        found.units[SHADOW] = len(np.unique(shadows))
        found.crossed = int(units.crossed.sum())
        due = self._question.as_of - self._question.cohort - self._question.maturity
        mature = (units.first <= due) & ~units.crossed
        gains = _of_units(gains, units)
        slices = list(self._slices(units))
        for kpi in self._question.kpis:
            products = _products(*self._values(kpi, units, gains))
            for code in (CONTROL, TREATMENT):
                counted = mature & (units.arm == code)
                for name, values, members in slices:
                    for value, sums in zip(values, _sums(products, members, counted, len(values)), strict=True):
                        if sums[0]:
                            found.sums[kpi.name, f"{name}={value}" if name else "", code] = sums

    def _values(self, kpi: Kpi, units: Units, gains: pa.Table) -> tuple[Floats, Floats, Floats]:
        """Denominator, numerator and covariate of each unit, in its own window."""
        ends = units.first + self._question.cohort
        arms, when, unit = column(gains, "arm"), column(gains, "when"), column(gains, "unit")
        inside = (arms != CHAMPION) & (when < ends[unit])
        before = (arms == CHAMPION) & (when < units.first[unit]) & (units.first[unit] < _NEVER)
        numerator = column(gains, "column") == self._question.columns.index(kpi.numerator)
        y, c = (_totals(gains, numerator & rows, len(units.first)) for rows in (inside, before))
        if kpi.denominator:
            named = column(gains, "column") == self._question.columns.index(kpi.denominator)
            return _totals(gains, named & inside, len(units.first)), y, c
        arm_of_visit = column(units.visits, "arm")
        shown = (arm_of_visit != SHADOW) & (column(units.visits, "time") < ends[units.unit_of_visit])
        weights = column(units.visits, "shown")[shown].astype(np.float64)
        return _by_unit(units.unit_of_visit[shown], weights, len(units.first)), y, c

    def _slices(self, units: Units) -> Iterator[tuple[str, list[str], Ints]]:
        """Name, values, and the value's place for each unit by its first exposure; -1 without one."""
        yield "", [""], np.zeros(len(units.first), np.int64)
        arms = column(units.visits, "arm")
        inside = np.flatnonzero(arms != SHADOW)
        unit, first = np.unique(units.unit_of_visit[inside], return_index=True)
        for name in self._question.slices:
            values = units.visits.column(f"slice.{name}").take(pa.array(inside[first])).combine_chunks()
            known = pc.drop_null(pc.unique(values))
            known = known.take(pc.sort_indices(known))
            members = np.full(len(units.first), -1, np.int64)
            members[unit] = np.asarray(pc.index_in(values, value_set=known).fill_null(-1).to_numpy(False), np.int64)
            yield name, known.to_pylist(), members


def _units(visits: pa.Table) -> Units:
    names = pc.unique(visits.column("unit_id").combine_chunks())
    names = names.take(pc.sort_indices(names))
    unit = np.asarray(pc.index_in(visits.column("unit_id"), value_set=names).to_numpy(), np.int64)
    order = np.lexsort((visits.column("tie").to_numpy(), column(visits, "time"), unit))
    visits, unit = visits.take(pa.array(order)).combine_chunks(), unit[order]
    arms, times = column(visits, "arm"), column(visits, "time")
    seen = {code: np.bincount(unit[arms == code], minlength=len(names)) > 0 for code in (CONTROL, TREATMENT)}
    first = np.full(len(names), _NEVER, np.int64)
    inside = np.flatnonzero(arms != SHADOW)
    ids, places = np.unique(unit[inside], return_index=True)
    first[ids] = times[inside[places]]
    return Units(
        names=names,
        first=first,
        arm=np.where(seen[CONTROL], CONTROL, np.where(seen[TREATMENT], TREATMENT, CHAMPION)),
        crossed=seen[CONTROL] & seen[TREATMENT],
        visits=visits,
        unit_of_visit=unit,
    )


def _of_units(gains: pa.Table, units: Units) -> pa.Table:
    """Those of these units, in an order that is theirs: sums of floats depend on it."""
    unit = np.asarray(pc.index_in(gains.column("unit_id"), value_set=units.names).fill_null(-1).to_numpy(), np.int64)
    gains = gains.append_column("unit", pa.array(unit)).filter(pa.array(unit >= 0))
    keys = ("value", "column", "when", "unit")
    return gains.take(pa.array(np.lexsort([gains.column(key).to_numpy() for key in keys]))).combine_chunks()


def _totals(gains: pa.Table, rows: npt.NDArray[np.bool_], count: int) -> Floats:
    return _by_unit(column(gains, "unit")[rows], numbers(gains, "value")[rows], count)


def _by_unit(unit: Ints, weights: Floats, count: int) -> Floats:
    return np.bincount(unit, weights=weights, minlength=count).astype(np.float64)


def _products(x: Floats, y: Floats, c: Floats) -> list[Floats]:
    return [np.ones(len(x)), x, y, x * x, y * y, x * y, c, c * c, x * c, y * c]


def _sums(products: list[Floats], members: Ints, counted: npt.NDArray[np.bool_], count: int) -> Floats:
    """`[count, 10]`"""
    rows = counted & (members >= 0)
    return np.stack([np.bincount(members[rows], weights=each[rows], minlength=count) for each in products], axis=1)
