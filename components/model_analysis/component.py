"""Model analysis: TensorFlow Model Analysis on a sample, for its viewers and as a second opinion."""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.model_analysis.executor import ModelAnalysisExecutor


class ModelAnalysisSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS: ClassVar[dict[str, Any]] = {"evaluate": ExecutionParameter(type=str)}
    INPUTS: ClassVar[dict[str, Any]] = {"evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation)}
    OUTPUTS: ClassVar[dict[str, Any]] = {"analysis": ChannelParameter(type=standard_artifacts.ModelEvaluation)}


class ModelAnalysis(BaseBeamComponent):  # type: ignore[misc]
    """Fails where it does not measure what the evaluation measured; no gate waits for it.

    Args:
        evaluation: of `components.evaluation.component.Evaluate`.
        evaluate: `metrics`, `slices`, `min_slice_rows` and `tfma_rows` of `Spec.evaluate` as JSON.

    Outputs:
        analysis: `tfma.load_eval_result(uri, model_name="candidate")` reads it; without a champion, without the name.
    """

    SPEC_CLASS = ModelAnalysisSpec
    EXECUTOR_SPEC = BeamExecutorSpec(ModelAnalysisExecutor)

    def __init__(self, *, evaluation: Channel, evaluate: str) -> None:
        outputs: dict[str, Any] = {"analysis": Channel(type=standard_artifacts.ModelEvaluation)}
        super().__init__(ModelAnalysisSpec(evaluation=evaluation, evaluate=evaluate, **outputs))
