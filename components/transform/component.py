"""Transform: the user's `preprocessing_fn` over a day of examples."""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.transform.executor import TransformExecutor


class TransformSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS: ClassVar[dict[str, Any]] = {"preprocessing_fn": ExecutionParameter(type=str)}
    INPUTS: ClassVar[dict[str, Any]] = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
    }


class Transform(BaseBeamComponent):  # type: ignore[misc]
    """Analyzes the split `train`, transforms all splits.

    Args:
        examples: the day, as `components.examples.records` writes it.
        schema: of the raw columns.
        preprocessing_fn: `package.module.function`, written with `tft.*` as for TFX's own Transform.

    Outputs:
        transform_graph: what `tft.TFTransformOutput` reads.
        transformed_examples: `components.transform.blocks`.
    """

    SPEC_CLASS = TransformSpec
    EXECUTOR_SPEC = BeamExecutorSpec(TransformExecutor)

    def __init__(self, *, examples: BaseChannel, schema: BaseChannel, preprocessing_fn: str) -> None:
        super().__init__(
            TransformSpec(
                examples=examples,
                schema=schema,
                preprocessing_fn=preprocessing_fn,
                transform_graph=Channel(type=standard_artifacts.TransformGraph),
                transformed_examples=Channel(type=standard_artifacts.Examples),
            )
        )
