"""Serving check: does the exported model, in a real server, answer rightly, fast and cheaply enough?"""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import GateReport, ServingMeasures
from components.serving_check.executor import ServingCheckExecutor


class ServingCheckSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS: ClassVar[dict[str, Any]] = {
        "serving": ExecutionParameter(type=str),
        "label": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, Any]] = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "measures": ChannelParameter(type=ServingMeasures),
        "report": ChannelParameter(type=GateReport),
    }


class ServingCheck(BaseComponent):  # type: ignore[misc]
    """Starts `components.serving` with the candidate, compares golden rows, and puts it under load.

    Args:
        examples: raw Examples; golden rows are of the split `eval`.
        model: as `components.training.export` writes it.
        schema: of the raw columns.
        serving: `Spec.serving` as JSON.
        label: the raw column that no request has.

    Outputs:
        measures: `golden.json` (requests and predictions), `serving.json` (what was measured, and how).
        report: every check and the verdict. A refusal does not fail the node.
    """

    SPEC_CLASS = ServingCheckSpec
    EXECUTOR_SPEC = ExecutorClassSpec(ServingCheckExecutor)

    def __init__(self, *, examples: Channel, model: Channel, schema: Channel, serving: str, label: str) -> None:
        inputs: dict[str, Any] = {"examples": examples, "model": model, "schema": schema}
        outputs: dict[str, Any] = {
            "measures": Channel(type=ServingMeasures),
            "report": Channel(type=GateReport),
        }
        super().__init__(ServingCheckSpec(**inputs, **outputs, serving=serving, label=label))
