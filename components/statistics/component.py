"""Statistics: TensorFlow Data Validation's statistics of every split of the examples."""

from __future__ import annotations

from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec

from components.statistics.executor import StatisticsExecutor


class StatisticsSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS: dict[str, object] = {}
    INPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {"statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics)}


class Statistics(BaseBeamComponent):  # type: ignore[misc]
    """What StatisticsGen makes, from whole row groups. Output `statistics`, span = data day."""

    SPEC_CLASS = StatisticsSpec
    EXECUTOR_SPEC = BeamExecutorSpec(StatisticsExecutor)

    def __init__(self, examples: Channel) -> None:
        super().__init__(
            StatisticsSpec(examples=examples, statistics=Channel(type=standard_artifacts.ExampleStatistics))
        )
