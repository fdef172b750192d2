"""Freshness: before training, is a fresh model worth what it costs?"""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import GateReport
from components.worth.freshness.executor import FreshnessExecutor


class FreshnessSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS: ClassVar[dict[str, Any]] = {
        "pipeline": ExecutionParameter(type=str),
        "day": ExecutionParameter(type=str),
        "worth": ExecutionParameter(type=str),
        "drift": ExecutionParameter(type=str),
        "label": ExecutionParameter(type=str),
        "unit": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "anomalies_report": ChannelParameter(type=GateReport),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "curve": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "report": ChannelParameter(type=GateReport),
    }


class Freshness(BaseComponent):  # type: ignore[misc]
    """Replays the day with the models of the days before: what does a day of staleness cost?

    Args:
        examples, schema, transform_graph: as of `components.evaluation.component.Evaluate`; the graph says what the
            label means.
        anomalies_report: how far the day has drifted.
        worth: `Spec.worth` as JSON, with `freshness`.
        drift: `Spec.drift` as JSON.
        unit: raw column; rows with the same value are of one user.

    Outputs:
        curve: `readable/freshness.json` and `.png`: the quality of each model by its age.
        report: refused means SKIP(cost): the champion stays and no later node runs.
    """

    SPEC_CLASS = FreshnessSpec
    EXECUTOR_SPEC = ExecutorClassSpec(FreshnessExecutor)

    def __init__(
        self,
        *,
        examples: Channel,
        schema: Channel,
        transform_graph: Channel,
        anomalies_report: Channel,
        pipeline: str,
        day: Any,
        worth: str,
        drift: str,
        label: str,
        unit: str,
    ) -> None:
        inputs: dict[str, Any] = {
            "examples": examples,
            "schema": schema,
            "transform_graph": transform_graph,
            "anomalies_report": anomalies_report,
        }
        parameters: dict[str, Any] = {
            "pipeline": pipeline,
            "day": day,
            "worth": worth,
            "drift": drift,
            "label": label,
            "unit": unit,
        }
        outputs: dict[str, Any] = {
            "curve": Channel(type=standard_artifacts.ModelEvaluation),
            "report": Channel(type=GateReport),
        }
        super().__init__(FreshnessSpec(**inputs, **parameters, **outputs))
