"""Contract: the raw day against what was agreed on it."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.types.channel import Channel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import DataDocs, GateReport, Quarantine, RawDay
from components.contract.executor import ContractExecutor


class ContractSpec(ComponentSpec):  # type: ignore[misc]
    PARAMETERS = {
        "pipeline": ExecutionParameter(type=str),
        "data": ExecutionParameter(type=str),
        "day": ExecutionParameter(type=str),
        "rows_limit": ExecutionParameter(type=int),
        "force": ExecutionParameter(type=int),
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {
        "rows": ChannelParameter(type=RawDay),
        "quarantine": ChannelParameter(type=Quarantine),
        "report": ChannelParameter(type=GateReport),
        "docs": ChannelParameter(type=DataDocs),
    }


class Contract(BaseComponent):  # type: ignore[misc]
    """Reads the day, sends bad rows to quarantine, judges the rest by the pipeline's expectations.

    Outputs `rows` (what fulfils the contract), `quarantine`, `report` (its verdict refuses the day) and `docs`.
    """

    SPEC_CLASS = ContractSpec
    EXECUTOR_SPEC = ExecutorClassSpec(ContractExecutor)

    def __init__(self, *, pipeline: str, data: str, day: Any, rows_limit: Any, force: Any) -> None:
        """`data`: JSON of `Spec.data`; `rows_limit`: 0 reads all; `force`: 1 keeps earlier days that their contract refuses."""
        super().__init__(
            ContractSpec(
                pipeline=pipeline,
                data=data,
                day=day,
                rows_limit=rows_limit,
                force=force,
                rows=Channel(type=RawDay),
                quarantine=Channel(type=Quarantine),
                report=Channel(type=GateReport),
                docs=Channel(type=DataDocs),
            )
        )
