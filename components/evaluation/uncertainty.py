"""How far a metric may be off because the users of one day are a sample: standard errors by user, of every large slice.

    by_user = ByUser(sums, slicings=slicings, models=models, metrics=metrics, min_rows=200)
    uncertainty = Uncertainty(by_user, paths | Aggregate(by_user))
    uncertainty.errors("city=Berlin").change["auc"]      # of candidate minus champion, on the same rows
    uncertainty.gap_error("city=Berlin", "city=Rome", "auc")

A metric's change with one user is linear in sums over the user's rows (the delta method; AUC: `ranks`), so a second pass
over the scored rows sums by slice and user, and everything else happens on those sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from components.aggregation import Kernel
from components.evaluation.metrics import Totals, aucs_of, ratio, slice_name, thresholds_of, value_of
from components.evaluation.ranks import Ranks
from components.evaluation.scored import UNIT, read_scored
from components.evaluation.slicing import slice_rows
from components.evaluation.sums import Counts, Floats, Measured, Sums, in_parts, measure_rows
from components.inference.units import UnitSums, merge_units, standard_errors, sum_by_unit

GROUP_BITS = 14
"""Users are joined into so many groups (2 ** 14), by the hash of their id: sums of independent users are independent too,
so errors stay unbiased, within 0.6 %, and memory does not grow with the users."""


class ByUser(Kernel[Path, UnitSums]):
    """Sums by slice and group of users: rows, of labels, and for each model of its values and AUC influences."""

    def __init__(
        self,
        sums: Sequence[Sums],
        *,
        slicings: Sequence[Sequence[str]],
        models: Sequence[str],
        metrics: Sequence[str],
        min_rows: int,
    ) -> None:
        """`sums`, of all rows: the first slicing is that of all of them, and never too small."""
        self.models, self.metrics, self.thresholds = list(models), list(metrics), thresholds_of(metrics)
        self._slicings = [tuple(columns) for columns in slicings]
        chosen = [np.flatnonzero((part.rows >= min_rows) | (not place)) for place, part in enumerate(sums)]
        keys = [[part.keys[number] for number in numbers] for part, numbers in zip(sums, chosen, strict=True)]
        firsts = np.cumsum([0, *map(len, keys)])
        self._numbers = [
            {key: int(first) + n for n, key in enumerate(found)} for first, found in zip(firsts, keys, strict=False)
        ]
        named = zip(self._slicings, keys, strict=True)
        self.names = [slice_name(columns, key) for columns, found in named for key in found]
        self.totals = [
            [Totals(part.rows[n], part.labels[n], part.models[n, m]) for m in range(len(models))]
            for part, numbers in zip(sums, chosen, strict=True)
            for n in numbers
        ]
        self.aucs = aucs_of(metrics, sums[0].outputs)
        """Their influences are the last values of a row: of each metric, of each model."""
        self.outputs, self.labels = sums[0].outputs, sums[0].labels.shape[1]
        self._ranks = Ranks(sums, chosen=chosen) if self.aucs else None

    def partial(self, element: Path) -> UnitSums:
        return self.sums_of(read_scored(element))

    def sums_of(self, batch: pa.RecordBatch) -> UnitSums:
        parts = [self._sums_of(part) for part in in_parts(batch, self.models[0])]
        return parts[0] if len(parts) == 1 else merge_units(parts)

    def _sums_of(self, batch: pa.RecordBatch) -> UnitSums:
        measured = measure_rows(batch, self.models, self.thresholds)
        values = np.concatenate([np.ones((1, batch.num_rows)), measured.labels, *measured.models])
        groups = batch.column(UNIT).to_numpy() & np.uint64((1 << GROUP_BITS) - 1)
        parts = []
        for columns, numbers in zip(self._slicings, self._numbers, strict=True):
            rows, slices = self._chosen(batch, columns, numbers)
            found = values[:, rows]
            if self._ranks:
                found = np.concatenate([found, self._influences(slices, rows, measured)])
            keys = (slices.astype(np.uint64) << np.uint64(GROUP_BITS)) | groups[rows]
            parts.append(sum_by_unit(keys, found.T))
        return merge_units(parts)

    def merge(self, partials: Sequence[UnitSums]) -> UnitSums:
        return merge_units(partials)

    @staticmethod
    def _chosen(
        batch: pa.RecordBatch, columns: Sequence[str], numbers: Mapping[tuple[bytes, ...], int]
    ) -> tuple[Counts, Counts]:
        keys, rows, slices = slice_rows(batch, columns)
        found = np.array([numbers.get(key, -1) for key in keys], np.int64)[slices]
        kept = found >= 0
        return rows[kept], found[kept]

    def _influences(self, slices: Counts, rows: Counts, measured: Measured) -> Floats:
        """`[metrics * models, rows]`, of the metrics in `aucs`."""
        assert self._ranks
        found = []
        for outputs in self.aucs.values():
            for model in range(len(self.models)):
                total = np.zeros(len(rows))
                for curve in (model * self.outputs + output for output in outputs):
                    positive, bins = measured.positive[curve, rows], measured.bins[curve, rows]
                    total += self._ranks.influence(slices, curve, positive, bins)
                found.append(total / len(outputs))
        return np.stack(found)


@dataclass(frozen=True)
class Errors:
    """Standard errors by metric, of one slice; a metric that is not defined has none."""

    users: int = 0
    """Groups of them, where there are many."""
    candidate: Mapping[str, float] = field(default_factory=dict)
    champion: Mapping[str, float] = field(default_factory=dict)
    change: Mapping[str, float] = field(default_factory=dict)


class Uncertainty:
    """Of the slices that were large enough."""

    def __init__(self, by_user: ByUser | None = None, sums: UnitSums | None = None) -> None:
        self._metrics = by_user.metrics if by_user else []
        self._influences: dict[str, UnitSums] = {}
        if by_user and sums:
            numbers = sums.units >> np.uint64(GROUP_BITS)
            for number, name in enumerate(by_user.names):
                start, stop = np.searchsorted(numbers, [number, number + 1])
                groups = sums.units[start:stop] & np.uint64((1 << GROUP_BITS) - 1)
                self._influences[name] = UnitSums(groups, _influences(by_user, number, sums.values[start:stop]))

    @property
    def slices(self) -> list[str]:
        return list(self._influences)

    def errors(self, name: str) -> Errors:
        """Empty for a slice that is too small."""
        if name not in self._influences:
            return Errors()
        units, values = self._influences[name]
        models = len(values[0]) // len(self._metrics)
        by_model = [values[:, model::models] for model in range(models)]
        columns = [*by_model, by_model[0] - by_model[1]] if models == 2 else by_model
        found = [self._named(standard_errors(UnitSums(units, column))) for column in columns]
        return Errors(len(units), *found)

    def gap_error(self, one: str, other: str, metric: str) -> float:
        """Of the candidate's metric in one slice minus that in the other; users may be in both."""
        place, signed = self._metrics.index(metric), []
        for sign, name in ((1, one), (-1, other)):
            units, values = self._influences[name]
            column = place * (len(values[0]) // len(self._metrics))
            signed.append(UnitSums(units, sign * values[:, column : column + 1]))
        return float(standard_errors(merge_units(signed))[0])

    def _named(self, errors: Floats) -> dict[str, float]:
        return {name: float(error) for name, error in zip(self._metrics, errors, strict=True) if error >= 0}


def _influences(by_user: ByUser, number: int, values: Floats) -> Floats:
    """`[groups, metrics * models]`."""
    first = 1 + by_user.labels
    rows, labels, rest = values[:, 0], values[:, 1:first].T, values[:, first:]
    models, aucs = len(by_user.models), list(by_user.aucs)
    width = rest.shape[1] // models - len(aucs)
    found = []
    for metric in by_user.metrics:
        for model in range(models):
            of = Totals(rows, labels, rest[:, model * width : (model + 1) * width].T)
            if metric in aucs:
                found.append(rest[:, (width + aucs.index(metric)) * models + model])
            else:
                found.append(_linear(by_user, metric, of, number, model))
    return np.stack(found, axis=1)


def _linear(by_user: ByUser, metric: str, of: Totals, number: int, model: int) -> Floats:
    whole = by_user.totals[number][model]
    numerator, denominator = ratio(metric, whole, whole, by_user.thresholds)
    if not denominator:
        return np.full(len(of.rows), np.nan)
    over, under = ratio(metric, of, whole, by_user.thresholds)
    _, slope = value_of(metric, numerator / denominator)
    return np.asarray(slope * (over - numerator / denominator * under) / denominator, np.float64)
