"""`Choose`: of the models of a day, the candidate."""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel, Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import Baselines, GateReport, ModelComparison
from components.choice.executor import ChooseExecutor


class ChooseSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS: ClassVar[dict[str, Any]] = {
        "baselines": ExecutionParameter(type=str),
        "label": ExecutionParameter(type=str),
        "unit": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
        "learned": ChannelParameter(type=Baselines),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "chosen": ChannelParameter(type=standard_artifacts.Model),
        "report": ChannelParameter(type=GateReport),
        "comparison": ChannelParameter(type=ModelComparison),
    }


class Choose(BaseComponent):  # type: ignore[misc]
    """Compares the trained model with the baselines, and hands the chosen one on.

    Args:
        examples: raw Examples; the split `eval` is used.
        model: of `Train`.
        model_run: of the same `Train`.
        learned: of `LearnBaselines`.
        schema: of the raw columns.
        transform_graph: it says what the label means.
        baselines: `Spec.baselines` as JSON.
        label: name of the label, raw and transformed.
        unit: raw column; rows of one value, such as a user, are alike.

    Outputs:
        chosen: a copy of the chosen model; custom properties `chosen` and `reason`.
        report: the check `worse than baseline`.
        comparison: quality and cost of every model.
    """

    SPEC_CLASS = ChooseSpec
    EXECUTOR_SPEC = ExecutorClassSpec(ChooseExecutor)

    def __init__(self, *, baselines: str, label: str, unit: str, **inputs: BaseChannel) -> None:
        """`inputs`: the channels of `ChooseSpec.INPUTS`, by name."""
        outputs: dict[str, Any] = {
            "chosen": Channel(type=standard_artifacts.Model),
            "report": Channel(type=GateReport),
            "comparison": Channel(type=ModelComparison),
        }
        super().__init__(ChooseSpec(baselines=baselines, label=label, unit=unit, **inputs, **outputs))
