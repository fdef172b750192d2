"""All parts together."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from pipelines.errors import bounded
from pipelines.spec.base import Frozen, Name
from pipelines.spec.baselines import Baselines
from pipelines.spec.compress import Compress
from pipelines.spec.data import ColumnType, Data
from pipelines.spec.evaluate import Evaluate, require_metrics
from pipelines.spec.kpi import Kpi, Policy, require_kpis
from pipelines.spec.learning import Learning
from pipelines.spec.model import Drift, Train
from pipelines.spec.operation import Budget, Cluster, Resources, Schedule
from pipelines.spec.rollout import Rollout
from pipelines.spec.serving import Serving
from pipelines.spec.worth import Worth

_NUMERIC = (ColumnType.INT, ColumnType.FLOAT, ColumnType.BOOL)


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
    learning: Learning = Learning()
    compress: Compress | None = None
    """Without it the trained model is judged and served as it is."""
    baselines: Baselines = Baselines()
    evaluate: Evaluate = Evaluate()
    serving: Serving = Serving()
    kpis: tuple[Kpi, ...] = ()
    policy: Policy | None = None
    """With `kpis`: the gate `business` compares what candidate and champion would earn (docs/gates/business.md)."""
    worth: Worth | None = None
    """None: what a retrain costs and brings decides nothing."""
    rollout: Rollout | None = None
    """None: what passes every gate is promoted without live traffic."""
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

    @model_validator(mode="after")
    def _classes_fit(self) -> Self:
        classes = self.evaluate.classes
        require_metrics(self.learning.max_gap, classes=classes, place="`learning.max_gap`")
        if classes is None:
            return self
        asked = {
            "baselines.enabled": self.baselines.enabled,
            "compress": self.compress,
            "data.downsample": self.data.downsample,
            "policy": self.policy,
            "rollout": self.rollout,
            "worth.freshness": self.worth and self.worth.freshness,
        }
        if unfit := [name for name, value in asked.items() if value]:
            raise ValueError(
                f"`evaluate.classes` {classes} needs a spec without what is made for models of one output. Received: "
                f"{', '.join(unfit)}; set `baselines: {{enabled: false}}` and remove the others"
            )
        return self
        return self

    @model_validator(mode="after")
    def _kpis_are_of_the_rows(self) -> Self:
        require_kpis(self.kpis)
        numeric = {name for name, kind in self.data.columns.items() if kind in _NUMERIC}
        for kpi in self.kpis:
            named = [name for name in (kpi.numerator, kpi.denominator) if name]
            if unknown := sorted(set(named) - numeric):
                raise ValueError(
                    f"`kpis.{kpi.name}` names {bounded(unknown)}; numbers among `data.columns` are {bounded(numeric)}"
                )
        if self.rollout and not self.kpis:
            raise ValueError("`rollout` compares the models by `kpis`, and there are none; declare one")
        if self.rollout and self.rollout.unit not in self.data.columns:
            raise ValueError(
                f"`rollout.unit` must be a column. Received: {self.rollout.unit!r}; "
                f"`data.columns` has {bounded(self.data.columns)}"
            )
        if self.rollout and self.rollout.quarterly_margin and any(k.margin_unit != "relative" for k in self.kpis):
            raise ValueError(
                "`rollout.quarterly_margin` adds up relative margins; give all `kpis` `margin_unit: relative`"
            )
        if self.policy and (unknown := sorted(set(self.policy.row_columns) - set(self.data.columns))):
            raise ValueError(f"`policy` names {bounded(unknown)}; `data.columns` has {bounded(self.data.columns)}")
        return self
