"""Anomalies: a day's statistics against the curated schema and against the champion's training day."""

from __future__ import annotations

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.anomalies.executor import AnomaliesExecutor
from components.artifacts import GateReport


class AnomaliesSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS = {"drift": ExecutionParameter(type=str)}
    INPUTS = {
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "champion_statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics, optional=True),
    }
    OUTPUTS = {
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "report": ChannelParameter(type=GateReport),
    }


class Anomalies(BaseComponent):  # type: ignore[misc]
    """Refuses a day whose statistics break the schema, or that drifted too far from what the champion learned.

    Outputs `anomalies` (TFX's layout: `Split-<name>/SchemaDiff.pb`) and `report`, whose verdict refuses the day.
    """

    SPEC_CLASS = AnomaliesSpec
    EXECUTOR_SPEC = ExecutorClassSpec(AnomaliesExecutor)

    def __init__(
        self,
        statistics: Channel,
        schema: Channel,
        *,
        drift: str,
        champion_statistics: Channel | None = None,
    ) -> None:
        """`drift`: JSON of `Spec.drift`."""
        super().__init__(
            AnomaliesSpec(
                statistics=statistics,
                schema=schema,
                champion_statistics=champion_statistics,
                drift=drift,
                anomalies=Channel(type=standard_artifacts.ExampleAnomalies),
                report=Channel(type=GateReport),
            )
        )
