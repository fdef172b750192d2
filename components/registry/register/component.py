"""Register: the candidate as a version in the model registry, and the aliases its verdict allows."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types import standard_artifacts
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import GateReport, Registration
from components.registry.register.executor import RegisterExecutor


class RegisterSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS = {
        "pipeline": ExecutionParameter(type=str),
        "day": ExecutionParameter(type=str),
        "label": ExecutionParameter(type=str),
        "rollout": ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
        "reports": ChannelParameter(type=GateReport),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "schema": ChannelParameter(type=standard_artifacts.Schema),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
    }
    OUTPUTS = {"registration": ChannelParameter(type=Registration)}


class Register(BaseComponent):  # type: ignore[misc]
    """Registers an accepted candidate once, as @challenger, and then as @champion or, with `rollout`, in the queue for
    live traffic; a refused one is not registered."""

    SPEC_CLASS = RegisterSpec
    EXECUTOR_SPEC = ExecutorClassSpec(RegisterExecutor)

    def __init__(self, *, pipeline: str, day: Any, label: str, rollout: str | None = None, **inputs: Channel) -> None:
        """`rollout`: JSON of a `components.rollout.standing.Plan`. `inputs`: the channels of `RegisterSpec.INPUTS`, by
        name; `reports` may be a union of those of several gates."""
        super().__init__(
            RegisterSpec(
                pipeline=pipeline,
                day=day,
                label=label,
                rollout=rollout,
                registration=Channel(type=Registration),
                **inputs,
            )
        )
