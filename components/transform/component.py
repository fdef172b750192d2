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
    PARAMETERS: ClassVar[dict[str, Any]] = {
        "preprocessing_fn": ExecutionParameter(type=str),
        "weight": ExecutionParameter(type=str, optional=True),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "sample": ChannelParameter(type=standard_artifacts.Examples, optional=True),
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
        sample: splits that are read from here instead of `examples`, with a column of weights.
        weight: that column's name. It becomes one of the transformed examples, 1 in splits without a sample, and no
            part of the transform graph.

    Outputs:
        transform_graph: what `tft.TFTransformOutput` reads.
        transformed_examples: `components.transform.blocks`.
    """

    SPEC_CLASS = TransformSpec
    EXECUTOR_SPEC = BeamExecutorSpec(TransformExecutor)

    def __init__(
        self,
        *,
        examples: BaseChannel,
        schema: BaseChannel,
        preprocessing_fn: str,
        sample: BaseChannel | None = None,
        weight: str | None = None,
    ) -> None:
        super().__init__(
            TransformSpec(
                examples=examples,
                schema=schema,
                sample=sample,
                preprocessing_fn=preprocessing_fn,
                weight=weight,
                transform_graph=Channel(type=standard_artifacts.TransformGraph),
                transformed_examples=Channel(type=standard_artifacts.Examples),
            )
        )
