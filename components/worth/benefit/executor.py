"""Adds up what the candidate cost, reads what its KPI promises, judges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact

from components.decision.report import GateReport
from components.registry.champion.artifact import champion_name
from components.tracking import current
from components.worth.benefit.judging import judge, state
from components.worth.benefit.kpi import Change, read_change
from components.worth.benefit.statement import Statement
from components.worth.spending import costs_of_run, sum_usd
from pipelines.settings import Settings
from pipelines.spec import Worth

READABLE = "readable"
COUNTED_STAGES = ("training", "gates")


class WorthExecutor(BaseExecutor):  # type: ignore[misc]
    """Work of `components.worth.benefit.component.Worth`."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises `DataError` when `worth.kpi` is none of those that the gate `business` judges."""
        worth = Worth.model_validate_json(exec_properties["worth"])
        costs = costs_of_run(Settings.from_environment(), worth.prices)
        statement = state(
            worth,
            made_usd=sum_usd(costs, *COUNTED_STAGES),
            champion=champion_name(input_dict["champion_model"]),
            change=_change(worth, input_dict),
        )
        report = judge(statement)
        [artifact], [benefit] = output_dict["report"], output_dict["benefit"]
        statement.write(Path(benefit.uri))
        report.write(Path(artifact.uri))
        artifact.verdict = report.verdict.value
        current().log_metrics(_metrics(statement))
        print(f"{report.verdict.value}: {report.reason}")


def _change(worth: Worth, input_dict: Mapping[str, list[Artifact]]) -> Change:
    if not worth.kpi:
        return Change(None, "`worth.kpi` is not set")
    reports, evaluations = input_dict.get("business_report"), input_dict.get("business_evaluation")
    if not reports or not evaluations:
        return Change(None, "no KPI is estimated in this pipeline")
    return read_change(worth.kpi, GateReport.read(Path(reports[0].uri)), Path(evaluations[0].uri) / READABLE)


def _metrics(statement: Statement) -> dict[str, float]:
    metrics = {"cost_usd": statement.cost_usd}
    for name, found in (("lift", statement.lift), ("net_usd", statement.net_usd)):
        metrics |= {f"{name}/{end}": value for end, value in found._asdict().items()} if found else {}
    return metrics
