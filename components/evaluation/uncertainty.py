"""How far a metric may be off because the users of one day are a sample: standard errors by user.

sums = paths | Aggregate(Influences(overall, models=["candidate", "champion"], metrics=["auc"]))
uncertainty = Uncertainty.of(sums, models=[...], metrics=[...])
uncertainty.change["auc"]          # of candidate minus champion, on the same rows
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from components.aggregation import Kernel
from components.evaluation.influence import Influence
from components.evaluation.metrics import CANDIDATE
from components.evaluation.scored import LABEL, UNIT, read_scored
from components.evaluation.sums import Sums
from components.inference.units import UnitSums, merge_units, standard_errors, sum_by_unit


class Influences(Kernel[Path, UnitSums]):
    """Values by unit: each metric of each model, then each metric of the first model minus the second."""

    def __init__(self, overall: Sums, *, models: Sequence[str], metrics: Sequence[str]) -> None:
        self._overall, self._models, self._metrics = overall, list(models), list(metrics)

    def setup(self) -> None:
        self._influence = Influence(self._overall, metrics=self._metrics)

    def partial(self, element: Path) -> UnitSums:
        batch = read_scored(element)
        labels = batch.column(LABEL).to_numpy().astype(np.float64)
        predictions = np.stack([batch.column(name).to_numpy() for name in self._models]).astype(np.float64)
        found = self._influence(labels, predictions)
        if len(self._models) == 2:
            found = np.concatenate([found, found[:, :, :1] - found[:, :, 1:]], axis=2)
        return sum_by_unit(batch.column(UNIT).to_numpy(), found.reshape(len(labels), -1))

    def merge(self, partials: Sequence[UnitSums]) -> UnitSums:
        return merge_units(partials)


@dataclass(frozen=True)
class Uncertainty:
    """Standard errors by metric, of all rows; a metric that is not defined has none."""

    units: int = 0
    candidate: Mapping[str, float] = field(default_factory=dict)
    change: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, sums: UnitSums, *, models: Sequence[str], metrics: Sequence[str]) -> Uncertainty:
        columns = [*models, "change"] if len(models) == 2 else list(models)
        errors = standard_errors(sums).reshape(len(metrics), len(columns))
        found = {
            column: {name: float(error) for name, error in zip(metrics, errors[:, place], strict=True) if error >= 0}
            for place, column in enumerate(columns)
        }
        return cls(len(sums.units), found[CANDIDATE], found.get("change", {}))
