"""ML Metadata's store, with one try per node and run, and with its PostgreSQL backslash bug worked around."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import ml_metadata
from google.protobuf import message
from google.protobuf.descriptor import FieldDescriptor
from ml_metadata.proto import metadata_store_pb2

SUPERSEDED = "daybreak_superseded"
"""Custom property of an execution whose node was tried again in the same run."""

_RUN_CONTEXT = "pipeline_run"

# ML Metadata quotes with PQescapeLiteral and cuts off what it takes for the quotes, but a text with a backslash comes back
# as ` E'…'`: invalid SQL. JSON is full of backslashes, so they are kept as a character of Unicode's private area.
_BACKSLASH = "\ue05c"
_BACKSLASH_BYTES = _BACKSLASH.encode()


class Store(ml_metadata.MetadataStore):
    """A store in which a run has one try of each node: the newest. The cache and other runs still see all."""

    def __init__(self, config: metadata_store_pb2.ConnectionConfig) -> None:
        super().__init__(config)
        self._run_contexts: set[int] = set()

    def _call(self, method_name: str, request: Any, response: Any, extra_options: Any = None) -> None:
        if b"\\" in request.SerializeToString():
            request = copy.deepcopy(request)
            _replace(request, "\\", _BACKSLASH)
        super()._call(method_name, request, response, extra_options)
        if _BACKSLASH_BYTES in response.SerializeToString():
            _replace(response, _BACKSLASH, "\\")

    def get_artifacts_by_id(self, artifact_ids: Iterable[int], extra_options: Any = None) -> Any:
        ids = list(artifact_ids)
        return _in_order(super().get_artifacts_by_id(ids, extra_options), ids)

    def get_artifact_types_by_id(self, type_ids: Iterable[int], extra_options: Any = None) -> Any:
        ids = list(type_ids)
        return _in_order(super().get_artifact_types_by_id(ids, extra_options), ids)

    def get_artifacts_and_types_by_artifact_ids(self, artifact_ids: Iterable[int]) -> Any:
        ids = list(artifact_ids)
        artifacts, types = super().get_artifacts_and_types_by_artifact_ids(ids)
        return _in_order(artifacts, ids), types

    def get_context_by_type_and_name(self, type_name: str, context_name: str) -> Any:
        context = super().get_context_by_type_and_name(type_name, context_name)
        if context is not None and type_name == _RUN_CONTEXT:
            self._run_contexts.add(context.id)
        return context

    def get_executions_by_context(self, context_id: int, list_options: Any = None) -> Any:
        executions = super().get_executions_by_context(context_id, list_options)
        if context_id in self._run_contexts:
            return [execution for execution in executions if SUPERSEDED not in execution.custom_properties]
        return executions

    def get_executions_of_node(self, contexts: Sequence[tuple[str, str]]) -> list[metadata_store_pb2.Execution]:
        """Executions that belong to all of the contexts (type, name), superseded ones too, newest first."""
        found: dict[int, metadata_store_pb2.Execution] | None = None
        for type_name, name in contexts:
            context = super().get_context_by_type_and_name(type_name, name)
            if context is None:
                return []
            executions = {execution.id: execution for execution in super().get_executions_by_context(context.id)}
            found = executions if found is None else {key: found[key] for key in found.keys() & executions.keys()}
        return sorted((found or {}).values(), key=lambda execution: execution.id, reverse=True)


def _in_order(found: Sequence[Any], ids: Sequence[int]) -> list[Any]:
    """As asked for. TFX pairs artifacts with their events by position, yet PostgreSQL returns rows as they lie on disk."""
    by_id = {item.id: item for item in found}
    return [by_id[number] for number in ids if number in by_id]


def _replace(content: message.Message, old: str, new: str) -> None:
    """Replaces text in every string of a message, at any depth; map keys are names and stay."""
    for field, value in content.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
            setattr(content, field.name, value.replace(old, new))
        elif field.type == FieldDescriptor.TYPE_STRING:
            value[:] = [text.replace(old, new) for text in value]
        elif field.type == FieldDescriptor.TYPE_MESSAGE and field.is_repeated:
            # A map's values: messages, or scalars that no request of the store has as text.
            parts = value.values() if hasattr(value, "values") else value
            for part in parts:
                if isinstance(part, message.Message):
                    _replace(part, old, new)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            _replace(value, old, new)
