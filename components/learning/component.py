"""Learning: did the model learn at all, and from what?"""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import GateReport
from components.learning.executor import LearningExecutor


class LearningSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS: ClassVar[dict[str, Any]] = {
        "learning": ExecutionParameter(type=str),
        "label": ExecutionParameter(type=str),
        "unit": ExecutionParameter(type=str),
        "classes": ExecutionParameter(type=int, optional=True),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {"report": ChannelParameter(type=GateReport)}


class Learning(BaseComponent):  # type: ignore[misc]
    """Overfitting, divergence, leakage and skew, on a sample of the day.

    Args:
        learning: `Spec.learning` as JSON.
        label: name of the label, raw and transformed.
        unit: raw column; rows with the same value are of one user.
        classes: `Spec.evaluate.classes`.
        inputs: the channels of `LearningSpec.INPUTS`, by name; `examples` are raw.

    Outputs:
        report: every check and the verdict. A refusal does not fail the node.
    """

    SPEC_CLASS = LearningSpec
    EXECUTOR_SPEC = ExecutorClassSpec(LearningExecutor)

    def __init__(self, *, learning: str, label: str, unit: str, classes: int | None = None, **inputs: Channel) -> None:
        report = Channel(type=GateReport)
        super().__init__(
            LearningSpec(learning=learning, label=label, unit=unit, classes=classes, report=report, **inputs)
        )
