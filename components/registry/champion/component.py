"""Champion: the model that was live when a day was retrained, and the statistics it learned from."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.registry.champion.executor import ChampionExecutor


class ChampionSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS = {"pipeline": ExecutionParameter(type=str), "day": ExecutionParameter(type=str)}
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
    }


class Champion(BaseComponent):  # type: ignore[misc]
    """Fetches the champion of `day` from the registry.

    Without one, both outputs are empty folders with the custom property `absent` = `yes`.
    """

    SPEC_CLASS = ChampionSpec
    EXECUTOR_SPEC = ExecutorClassSpec(ChampionExecutor)

    def __init__(self, *, pipeline: str, day: Any) -> None:
        super().__init__(
            ChampionSpec(
                pipeline=pipeline,
                day=day,
                model=Channel(type=standard_artifacts.Model),
                statistics=Channel(type=standard_artifacts.ExampleStatistics),
            )
        )
