"""Costs: what the registered version cost, written beside it."""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import Benefit, CostEntry, Registration
from components.worth.costs.executor import CostsExecutor


class CostsSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS: ClassVar[dict[str, Any]] = {
        "pipeline": ExecutionParameter(type=str),
        "day": ExecutionParameter(type=str),
        "worth": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "registration": ChannelParameter(type=Registration),
        "benefit": ChannelParameter(type=Benefit),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {"entry": ChannelParameter(type=CostEntry)}


class Costs(BaseComponent):  # type: ignore[misc]
    """Writes an entry of the cost ledger: `costs.json` and tags of the version. `daybreak costs NAME` prints all."""

    SPEC_CLASS = CostsSpec
    EXECUTOR_SPEC = ExecutorClassSpec(CostsExecutor)

    def __init__(self, *, registration: Channel, benefit: Channel, pipeline: str, day: Any, worth: str) -> None:
        super().__init__(
            CostsSpec(
                registration=registration,
                benefit=benefit,
                pipeline=pipeline,
                day=day,
                worth=worth,
                entry=Channel(type=CostEntry),
            )
        )
