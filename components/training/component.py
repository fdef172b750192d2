"""`Train`: transformed examples to a served model."""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import channel, component_spec, standard_artifacts

from components.training.executor import TrainExecutor


class TrainSpec(component_spec.ComponentSpec):  # type: ignore[misc]
    """Inputs, outputs and parameters of `Train`."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "pipeline": component_spec.ExecutionParameter(type=str),
        "train": component_spec.ExecutionParameter(type=str),
        "label": component_spec.ExecutionParameter(type=str),
        "weight": component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_run": component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
    }


class Train(BaseComponent):  # type: ignore[misc]
    """Trains `pipelines.<pipeline>.model` on the splits `train` and `eval` of transformed examples.

    Args:
        examples: transformed Examples, as `components.transform.blocks` writes them.
        transform_graph: of the same Transform; it becomes part of the model.
        schema: of the raw columns, which the model takes.
        pipeline: name of the pipeline's folder.
        train: `Spec.train` as JSON.
        label: name of the label, raw and transformed.
        weight: column of the transformed examples by which loss and `weighted_metrics` are weighted.

    Outputs:
        model: SavedModel in `Format-Serving`, signatures `serving_default` and `serve_columns`.
        model_run: `history.json`.
    """

    SPEC_CLASS = TrainSpec
    EXECUTOR_SPEC = ExecutorClassSpec(TrainExecutor)

    def __init__(
        self,
        *,
        examples: channel.BaseChannel,
        transform_graph: channel.BaseChannel,
        schema: channel.BaseChannel,
        pipeline: str,
        train: str,
        label: str,
        weight: str | None = None,
    ) -> None:
        inputs: dict[str, Any] = {"examples": examples, "transform_graph": transform_graph, "schema": schema}
        outputs: dict[str, Any] = {
            "model": channel.Channel(type=standard_artifacts.Model),
            "model_run": channel.Channel(type=standard_artifacts.ModelRun),
        }
        super().__init__(TrainSpec(**inputs, **outputs, pipeline=pipeline, train=train, label=label, weight=weight))
