"""Examples: the rows of a day as columns of lists, split by a stable hash."""

from __future__ import annotations

from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import RawDay
from components.examples.executor import ExamplesExecutor


class ExamplesSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS = {"data": ExecutionParameter(type=str)}
    INPUTS = {"rows": ChannelParameter(type=RawDay)}
    OUTPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}


class Examples(BaseBeamComponent):  # type: ignore[misc]
    """Splits every row group of the day once, whatever the number of workers. Output `examples`, span = data day."""

    SPEC_CLASS = ExamplesSpec
    EXECUTOR_SPEC = BeamExecutorSpec(ExamplesExecutor)

    def __init__(self, rows: Channel, *, data: str) -> None:
        """`data`: JSON of `Spec.data`."""
        super().__init__(ExamplesSpec(rows=rows, data=data, examples=Channel(type=standard_artifacts.Examples)))
