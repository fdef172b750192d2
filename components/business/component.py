"""Business: would the candidate earn as much as the champion?"""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import GateReport, RawDay
from components.business.executor import BusinessExecutor


class BusinessSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS: ClassVar[dict[str, Any]] = {
        "kpis": ExecutionParameter(type=str),
        "policy": ExecutionParameter(type=str),
        "data": ExecutionParameter(type=str),
        "day": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "rows": ChannelParameter(type=RawDay),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "champion_model": ChannelParameter(type=standard_artifacts.Model),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "report": ChannelParameter(type=GateReport),
    }


class Business(BaseComponent):  # type: ignore[misc]
    """Off-policy evaluation of both models on the lists that the log holds, by users that neither has learned from today.

    Args:
        rows: of the contract, because their floats keep all digits: a propensity is exact.
        model, champion_model, schema, transform_graph: as of `components.evaluation.component.Evaluate`.
        kpis: `Spec.kpis`, a JSON list.
        policy: `Spec.policy` as JSON.
        data: `Spec.data` as JSON.
        day: the data day.

    Outputs:
        evaluation: `readable/estimates.json` and `.html`: every estimator by KPI.
        report: every rule and KPI, and the verdict. A refusal does not fail the node.
    """

    SPEC_CLASS = BusinessSpec
    EXECUTOR_SPEC = ExecutorClassSpec(BusinessExecutor)

    def __init__(
        self,
        *,
        rows: Channel,
        model: Channel,
        champion_model: Channel,
        schema: Channel,
        transform_graph: Channel,
        kpis: str,
        policy: str,
        data: str,
        day: Any,
    ) -> None:
        inputs: dict[str, Any] = {
            "rows": rows,
            "model": model,
            "champion_model": champion_model,
            "schema": schema,
            "transform_graph": transform_graph,
        }
        outputs: dict[str, Any] = {
            "evaluation": Channel(type=standard_artifacts.ModelEvaluation),
            "report": Channel(type=GateReport),
        }
        super().__init__(BusinessSpec(**inputs, **outputs, kpis=kpis, policy=policy, data=data, day=day))
