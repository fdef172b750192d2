"""`LearnBaselines`: transformed examples to simple models."""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import Baselines
from components.baselines.executor import BaselinesExecutor


class LearnBaselinesSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS: ClassVar[dict[str, Any]] = {
        "label": ExecutionParameter(type=str),
        "weight": ExecutionParameter(type=str, optional=True),
        "seed": ExecutionParameter(type=int),
        "max_rows": ExecutionParameter(type=int),
        "budget_secs": ExecutionParameter(type=float),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {"baselines": ChannelParameter(type=Baselines)}


class LearnBaselines(BaseComponent):  # type: ignore[misc]
    """Learns a constant, a linear model and gradient-boosted trees from the split `train`.

    Args:
        examples: transformed Examples, as `components.transform.blocks` writes them.
        transform_graph: of the same Transform; it becomes part of each model.
        schema: of the raw columns, which the models take.
        label: name of the label, raw and transformed.
        weight: column of the transformed examples by which losses are weighted.
        seed: of the rows that are drawn or held out.
        max_rows: learned from at most.
        budget_secs: of all models together; what there is by then is the model.

    Outputs:
        baselines: a SavedModel of each, as `Train` writes it.
    """

    SPEC_CLASS = LearnBaselinesSpec
    EXECUTOR_SPEC = ExecutorClassSpec(BaselinesExecutor)

    def __init__(
        self,
        *,
        examples: BaseChannel,
        transform_graph: BaseChannel,
        schema: BaseChannel,
        label: str,
        weight: str | None,
        seed: int,
        max_rows: int,
        budget_secs: float,
    ) -> None:
        inputs: dict[str, Any] = {"examples": examples, "transform_graph": transform_graph, "schema": schema}
        parameters: dict[str, Any] = {"seed": seed, "max_rows": max_rows, "budget_secs": budget_secs}
        outputs: dict[str, Any] = {"baselines": Channel(type=Baselines)}
        super().__init__(LearnBaselinesSpec(**inputs, **outputs, **parameters, label=label, weight=weight))
