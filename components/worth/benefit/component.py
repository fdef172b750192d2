"""Worth: does the candidate earn more than it costs?"""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import Benefit, GateReport
from components.worth.benefit.executor import WorthExecutor


class WorthSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS: ClassVar[dict[str, Any]] = {"worth": ExecutionParameter(type=str)}
    INPUTS: ClassVar[dict[str, Any]] = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "champion_model": ChannelParameter(type=standard_artifacts.Model),
        "business_report": ChannelParameter(type=GateReport, optional=True),
        "business_evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation, optional=True),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "benefit": ChannelParameter(type=Benefit),
        "report": ChannelParameter(type=GateReport),
    }


class Worth(BaseComponent):  # type: ignore[misc]
    """Expected net benefit of the candidate: what its KPI brings until the next model, less what it cost.

    Costs are those of the nodes of this run that ended so far; of a cached one, what it cost when it was made.

    Args:
        model: the candidate; its cost is meant.
        champion_model: as of `components.registry.champion.component.Champion`.
        business_report, business_evaluation: of the gate `business`; without them nothing is compared with the cost.
        worth: `Spec.worth` as JSON.

    Outputs:
        benefit: `benefit.json`.
        report: the verdict. A refusal does not fail the node.
    """

    SPEC_CLASS = WorthSpec
    EXECUTOR_SPEC = ExecutorClassSpec(WorthExecutor)

    def __init__(
        self,
        *,
        model: Channel,
        champion_model: Channel,
        worth: str,
        business_report: Channel | None = None,
        business_evaluation: Channel | None = None,
    ) -> None:
        inputs: dict[str, Any] = {
            "model": model,
            "champion_model": champion_model,
            "business_report": business_report,
            "business_evaluation": business_evaluation,
        }
        super().__init__(
            WorthSpec(
                **{name: channel for name, channel in inputs.items() if channel is not None},
                worth=worth,
                benefit=Channel(type=Benefit),
                report=Channel(type=GateReport),
            )
        )
