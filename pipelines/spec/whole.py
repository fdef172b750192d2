"""All parts together."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from pipelines.errors import bounded
from pipelines.spec.base import Frozen, Name
from pipelines.spec.data import Data
from pipelines.spec.model import Drift, Evaluate, Train
from pipelines.spec.operation import Budget, Cluster, Resources, Schedule
from pipelines.spec.worth import Worth


class Spec(Frozen):
    name: Name
    description: str = ""
    owner: str = "daybreak"
    simulated: bool = False
    """Every page shows that data and traffic are simulated."""
    data: Data
    schedule: Schedule
    drift: Drift = Drift()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    worth: Worth | None = None
    """None: what a retrain costs and brings decides nothing."""
    budget: Budget = Budget()
    cluster: Cluster = Cluster()
    resources: dict[Name, Resources] = {}
    """By node; the others have the defaults of the compiler."""

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        columns = self.data.columns
        sliced = {column for cross in self.evaluate.slices for column in cross}
        for place, names in {
            "evaluate.slices": sliced,
            "drift.l_infinity": set(self.drift.l_infinity),
            "drift.jensen_shannon": set(self.drift.jensen_shannon),
        }.items():
            if unknown := sorted(names - set(columns)):
                raise ValueError(f"`{place}` names {bounded(unknown)}; `data.columns` has {bounded(columns)}")
        if self.train.budget_minutes > self.budget.hours * 60:
            raise ValueError(
                f"`train.budget_minutes` {self.train.budget_minutes:g} exceeds `budget.hours` {self.budget.hours:g}; "
                "give training less, or the day more"
            )
        return self
