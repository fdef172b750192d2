"""`Compress`: a trained model to the smallest or fastest variant whose loss is allowed."""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import Compression
from components.compression.executor import CompressExecutor


class CompressSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS: ClassVar[dict[str, Any]] = {
        "pipeline": ExecutionParameter(type=str),
        "compress": ExecutionParameter(type=str),
        "train": ExecutionParameter(type=str),
        "slices": ExecutionParameter(type=str),
        "label": ExecutionParameter(type=str),
        "weight": ExecutionParameter(type=str, optional=True),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "trained_model": ChannelParameter(type=standard_artifacts.Model),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "compression": ChannelParameter(type=Compression),
    }


class Compress(BaseComponent):  # type: ignore[misc]
    """Builds variants of a trained model, measures each on the split `eval`, and passes one on.

    Args:
        trained_model: as `components.training` writes it, in full precision.
        examples: raw Examples; quality and speed are measured on the split `eval`.
        transformed_examples: what the model was trained on, for fine-tuning and for the ranges of activations.
        transform_graph: of the same Transform; it becomes part of each variant.
        schema: of the raw columns.
        pipeline: name of the pipeline's folder.
        compress: `Spec.compress` as JSON.
        train: `Spec.train` as JSON.
        slices: `Spec.evaluate.slices` as JSON.
        label: name of the label, raw and transformed.
        weight: column of the transformed examples by which the loss is weighted.

    Outputs:
        model: the chosen variant, or full precision; SavedModel with the same signatures. One for LiteRT is in it too
            (`components.compression.litert`).
        compression: every variant's numbers and why it was chosen or not.
    """

    SPEC_CLASS = CompressSpec
    EXECUTOR_SPEC = ExecutorClassSpec(CompressExecutor)

    def __init__(
        self,
        *,
        trained_model: BaseChannel,
        examples: BaseChannel,
        transformed_examples: BaseChannel,
        transform_graph: BaseChannel,
        schema: BaseChannel,
        pipeline: str,
        compress: str,
        train: str,
        slices: str,
        label: str,
        weight: str | None = None,
    ) -> None:
        inputs: dict[str, Any] = {
            "trained_model": trained_model,
            "examples": examples,
            "transformed_examples": transformed_examples,
            "transform_graph": transform_graph,
            "schema": schema,
        }
        outputs: dict[str, Any] = {
            "model": Channel(type=standard_artifacts.Model),
            "compression": Channel(type=Compression),
        }
        parameters: dict[str, Any] = {
            "pipeline": pipeline,
            "compress": compress,
            "train": train,
            "slices": slices,
            "label": label,
            "weight": weight,
        }
        super().__init__(CompressSpec(**inputs, **outputs, **parameters))
