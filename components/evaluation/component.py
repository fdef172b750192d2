"""Evaluate: is the candidate good enough, and no worse than the champion?"""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import GateReport
from components.evaluation.executor import EvaluateExecutor


class EvaluateSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS: ClassVar[dict[str, Any]] = {
        "evaluate": ExecutionParameter(type=str),
        "label": ExecutionParameter(type=str),
        "unit": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "champion_model": ChannelParameter(type=standard_artifacts.Model),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "report": ChannelParameter(type=GateReport),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
    }


class Evaluate(BaseBeamComponent):  # type: ignore[misc]
    """Metrics of the candidate and, when there is one, the champion, on the same rows in one pass.

    Args:
        examples: raw Examples; the split `eval` is used.
        model: SavedModel with the signature `serving_default`, examples to `predictions`.
        champion_model: the same, or an empty artifact with the custom property `absent`.
        schema: of the raw columns.
        transform_graph: of the candidate; it says what the label means.
        evaluate: `Spec.evaluate` as JSON.
        label: name of the label, raw and transformed.
        unit: raw column; rows with the same value are of one user, and may be alike.

    Outputs:
        evaluation: `scored/` holds label, predictions and slices of every row; `readable/` is for people.
        report: every check and the verdict. A refusal does not fail the node.
        blessing: as the stock Evaluator writes it.
    """

    SPEC_CLASS = EvaluateSpec
    EXECUTOR_SPEC = BeamExecutorSpec(EvaluateExecutor)

    def __init__(
        self,
        *,
        examples: Channel,
        model: Channel,
        champion_model: Channel,
        schema: Channel,
        transform_graph: Channel,
        evaluate: str,
        label: str,
        unit: str,
    ) -> None:
        inputs: dict[str, Any] = {
            "examples": examples,
            "model": model,
            "champion_model": champion_model,
            "schema": schema,
            "transform_graph": transform_graph,
        }
        outputs: dict[str, Any] = {
            "evaluation": Channel(type=standard_artifacts.ModelEvaluation),
            "report": Channel(type=GateReport),
            "blessing": Channel(type=standard_artifacts.ModelBlessing),
        }
        super().__init__(EvaluateSpec(**inputs, **outputs, evaluate=evaluate, label=label, unit=unit))
