"""The compiled pipeline as the launcher wants it: parameters bound, stamps added, one node picked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format, message
from tfx.dsl.compiler import constants
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import runtime_parameter_utils

# Named by the `Any` messages of an IR, which can be read only when their types are loaded.
from tfx.proto.orchestration import (
    executable_spec_pb2,  # noqa: F401
    pipeline_pb2,
)

from pipelines.errors import SpecError, bounded
from pipelines.manifest import Manifest

Parameter = str | int | float

_OURS = {constants.PIPELINE_RUN_ID_PARAMETER_NAME, constants.PIPELINE_ROOT_PARAMETER_NAME, "day"}
_TYPES: dict[int, type[Parameter]] = {
    pipeline_pb2.RuntimeParameter.INT: int,
    pipeline_pb2.RuntimeParameter.DOUBLE: float,
    pipeline_pb2.RuntimeParameter.STRING: str,
}


def read_ir(manifest: Manifest, folder: Path) -> pipeline_pb2.Pipeline:
    """Raises `SpecError` when the IR beside the manifest is missing or unreadable."""
    path = folder / manifest.ir
    try:
        return json_format.Parse(path.read_text(encoding="utf-8"), pipeline_pb2.Pipeline())
    except (OSError, json_format.ParseError) as error:
        raise SpecError(
            f"the compiled pipeline cannot be read: {error}",
            fix=f"run `daybreak compile {manifest.pipeline}`",
            place=str(path),
        ) from error


def bind(
    ir: pipeline_pb2.Pipeline, *, run_id: str, day: str, given: Mapping[str, str], default_root: Path
) -> dict[str, Parameter]:
    """Substitutes all runtime parameters in place and returns those of the user, defaults included.

    Raises:
      SpecError: `given` names no parameter of the pipeline or has a value of another type, or one has no value.
    """
    declared = {parameter.name: parameter for parameter in runtime_parameters(ir)}
    settable = sorted(declared.keys() - _OURS)
    bindings: dict[str, Parameter] = {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id, "day": day}
    for name, text in given.items():
        if name not in settable:
            raise SpecError(
                f"`--set` names no runtime parameter of this pipeline, which has {bounded(settable) or 'none'}. "
                f"Received: {name}={text}",
                fix="correct the name",
                place=ir.pipeline_info.id,
            )
        bindings[name] = _convert(name, text, _TYPES[declared[name].type])
    root = declared.get(constants.PIPELINE_ROOT_PARAMETER_NAME)
    if root is not None and not root.default_value.string_value:
        default_root.mkdir(parents=True, exist_ok=True)
        bindings[constants.PIPELINE_ROOT_PARAMETER_NAME] = str(default_root)
    values = runtime_parameter_utils.substitute_runtime_parameter(ir, bindings)
    if unbound := sorted(name for name, value in values.items() if value is None):
        raise SpecError(
            f"the runtime parameters {bounded(unbound)} have no value and no default",
            fix=f"add --set {unbound[0]}=…",
            place=ir.pipeline_info.id,
        )
    return {"day": day} | {name: values[name] for name in settable}


def _convert(name: str, text: str, kind: type[Parameter]) -> Parameter:
    try:
        return kind(text)
    except ValueError:
        raise SpecError(
            f"the runtime parameter {name!r} must be of type {kind.__name__}. Received: {name}={text}",
            fix=f"give a value of type {kind.__name__}",
        ) from None


def runtime_parameters(value: message.Message) -> Iterator[pipeline_pb2.RuntimeParameter]:
    """All that a message holds, at any depth."""
    if isinstance(value, pipeline_pb2.RuntimeParameter):
        yield value
        return
    for _, content in value.ListFields():
        for part in _messages(content):
            yield from runtime_parameters(part)


def _messages(content: Any) -> list[message.Message]:
    if isinstance(content, message.Message):
        return [content]
    parts = content.values() if hasattr(content, "values") else content if not isinstance(content, str | bytes) else ()
    try:
        return [part for part in parts if isinstance(part, message.Message)]
    except TypeError:  # a number
        return []


def pick_node(ir: pipeline_pb2.Pipeline, node_id: str) -> pipeline_pb2.PipelineNode:
    for node in ir.nodes:
        if node.pipeline_node.node_info.id == node_id:
            return node.pipeline_node
    raise SpecError(
        f"the manifest has a node {node_id!r} that its IR lacks",
        fix=f"run `daybreak compile {ir.pipeline_info.id}`",
        place=ir.pipeline_info.id,
    )


def add_stamps(node: pipeline_pb2.PipelineNode, stamps: Mapping[str, str]) -> None:
    """Stamps become execution properties, and so part of TFX's cache key."""
    for name, value in stamps.items():
        node.parameters.parameters[f"stamp_{name}"].field_value.string_value = value


def executor_specs(ir: pipeline_pb2.Pipeline, node_id: str) -> dict[str, message.Message | None]:
    """`executor_spec` and `custom_driver_spec` of the launcher; none for Importer and Resolver."""
    deployment = pipeline_pb2.IntermediateDeploymentConfig()
    ir.deployment_config.Unpack(deployment)
    # The node runner brings the metadata connection; TFX warns about every IR that has none.
    deployment.metadata_connection_config.Pack(_empty_connection())
    ir.deployment_config.Pack(deployment)
    local = runner_utils.extract_local_deployment_config(ir)
    return {
        "executor_spec": runner_utils.extract_executor_spec(local, node_id),
        "custom_driver_spec": runner_utils.extract_custom_driver_spec(local, node_id),
    }


def _empty_connection() -> message.Message:
    from ml_metadata.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    config.fake_database.SetInParent()
    return config
