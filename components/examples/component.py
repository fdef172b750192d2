"""Examples: the rows of a day as columns of lists, split by a stable hash."""

from __future__ import annotations

from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import RawDay
from components.examples.executor import ExamplesExecutor
from pipelines.spec import Data


class ExamplesSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS = {"data": ExecutionParameter(type=str)}
    INPUTS = {"rows": ChannelParameter(type=RawDay)}
    OUTPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "sample": ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }


class Examples(BaseBeamComponent):  # type: ignore[misc]
    """Splits every row group of the day once, whatever the number of workers.

    Outputs, span = data day:
        examples: all rows.
        sample: with `data.downsample`, what is left of its splits, with the column of weights.
    """

    SPEC_CLASS = ExamplesSpec
    EXECUTOR_SPEC = BeamExecutorSpec(ExamplesExecutor)

    def __init__(self, rows: Channel, *, data: str) -> None:
        """`data`: JSON of `Spec.data`."""
        outputs = {"examples": Channel(type=standard_artifacts.Examples)}
        if Data.model_validate_json(data).downsample:
            outputs["sample"] = Channel(type=standard_artifacts.Examples)
        super().__init__(ExamplesSpec(rows=rows, data=data, **outputs))
