"""What ML Metadata knows about the executions of one node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.proto.orchestration import pipeline_pb2

from pipelines import cache
from pipelines.node.store import Store
from pipelines.outcome import ArtifactRef

_EVENT = metadata_store_pb2.Event
_INPUT_EVENTS = (_EVENT.INPUT, _EVENT.DECLARED_INPUT)
# A resolver passes existing artifacts on: internal output.
_OUTPUT_EVENTS = (_EVENT.OUTPUT, _EVENT.DECLARED_OUTPUT, _EVENT.INTERNAL_OUTPUT)
_INTERNAL_PROPERTIES = ("tfx_version", "is_external")


def contexts_of(node: pipeline_pb2.PipelineNode, *, run: bool) -> list[tuple[str, str]]:
    """(type, name) of the contexts every execution of the node belongs to: in this run, or in any."""
    return [
        (context.type.name, context.name.field_value.string_value)
        for context in node.contexts.contexts
        if run or context.type.name != "pipeline_run"
    ]


def newest_success(store: Store, node: pipeline_pb2.PipelineNode, *, before: int) -> cache.Execution | None:
    """The newest execution of the node that succeeded, older than execution `before`."""
    for execution in store.get_executions_of_node(contexts_of(node, run=False)):
        if execution.id < before and execution_lib.is_execution_successful(execution):
            return describe(store, execution)
    return None


def producer(store: Store, outputs: Mapping[str, Sequence[ArtifactRef]]) -> cache.Execution | None:
    """The execution that made the artifacts, for which a cached execution stands in."""
    ids = [artifact.id for artifacts in outputs.values() for artifact in artifacts]
    makers = [event.execution_id for event in store.get_events_by_artifact_ids(ids) if event.type in _OUTPUT_EVENTS]
    if not makers:
        return None
    [execution] = store.get_executions_by_id([min(makers)])
    return describe(store, execution)


def describe(store: Store, execution: metadata_store_pb2.Execution) -> cache.Execution:
    inputs: dict[str, list[int]] = defaultdict(list)
    for event in store.get_events_by_execution_ids([execution.id]):
        if event.type in _INPUT_EVENTS:
            for key in _keys(event):
                inputs[key].append(event.artifact_id)
    runs = [c.name for c in store.get_contexts_by_execution(execution.id) if c.type == "pipeline_run"]
    return cache.Execution(
        id=execution.id,
        run_id=runs[0] if runs else "",
        parameters=parameters_of(execution),
        inputs={key: tuple(ids) for key, ids in inputs.items()},
    )


def parameters_of(execution: metadata_store_pb2.Execution) -> dict[str, Any]:
    values = {**execution.properties, **execution.custom_properties}
    return {
        key: data_types_utils.get_metadata_value(value)
        for key, value in values.items()
        if not execution_lib.is_internal_key(key)
    }


def artifacts_of(store: Store, execution_id: int) -> tuple[dict[str, tuple[ArtifactRef, ...]], ...]:
    """Inputs and outputs by key."""
    events = store.get_events_by_execution_ids([execution_id])
    artifacts = {a.id: a for a in store.get_artifacts_by_id([event.artifact_id for event in events])}
    sides: list[dict[str, list[ArtifactRef]]] = [defaultdict(list), defaultdict(list)]
    for event in events:
        side = 0 if event.type in _INPUT_EVENTS else 1 if event.type in _OUTPUT_EVENTS else None
        if side is None:
            continue
        for key in _keys(event):
            sides[side][key].append(_reference(artifacts[event.artifact_id]))
    return tuple({key: tuple(references) for key, references in sorted(side.items())} for side in sides)


def _keys(event: metadata_store_pb2.Event) -> list[str]:
    return [step.key for step in event.path.steps if step.HasField("key")]


def _reference(artifact: metadata_store_pb2.Artifact) -> ArtifactRef:
    properties = {}
    for name, value in [*artifact.properties.items(), *artifact.custom_properties.items()]:
        plain = data_types_utils.get_metadata_value(value)
        if isinstance(plain, str | int | float) and name not in _INTERNAL_PROPERTIES:
            properties[name] = plain
    return ArtifactRef(type=artifact.type, uri=artifact.uri, id=artifact.id, properties=properties)
