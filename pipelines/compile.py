"""Compiles TFX pipelines: IR (JSON) for the node runner, and the manifest for everyone else.

    python -m pipelines.compile shop taxi         # spec pipelines: pipelines/<name>/pipeline.yaml
    python -m pipelines.compile --all
    python -m pipelines.compile my_company.churn.pipeline   # any module with create_pipeline()

    manifest = compile_pipeline(tfx_pipeline, settings)     # any tfx.dsl.Pipeline

Compiling twice writes the same bytes, on every machine: what depends on the machine (artifact root, metadata
database, run id, day) is given by the node runner.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import DaybreakError, SpecError, bounded
from pipelines.manifest import Manifest, Node, write_atomically, write_manifest
from pipelines.settings import Settings
from pipelines.spec import Budget, Spec, load_spec

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline
    from tfx.proto.orchestration import pipeline_pb2

DEFAULT_STAGE = "pipeline"


def compile_pipeline(
    pipeline: Pipeline,
    settings: Settings,
    *,
    spec: Spec | None = None,
    nodes: Mapping[str, Mapping[str, Any]] | None = None,
) -> Manifest:
    """Writes `<state>/manifests/<pipeline>.ir.json` and `<pipeline>.json`, and returns the manifest.

    Args:
      pipeline: any synchronous TFX pipeline without sub-pipelines.
      spec: where schedule, owner and budget come from.
      nodes: by node id, fields of `pipelines.manifest.Node` beyond its edges; nodes not named get defaults.
    """
    from tfx.dsl.compiler.compiler import Compiler

    ir = Compiler().compile(pipeline)
    _check_supported(ir)
    _restore_defaults(ir, pipeline)
    _forget_machine(ir, settings)
    content = _encode(ir)
    manifest = _describe(ir, content=content, spec=spec, nodes=dict(nodes or {}))
    write_atomically(settings.manifests / manifest.ir, content)
    write_manifest(manifest, settings.manifests / f"{manifest.pipeline}.json")
    return manifest


def _check_supported(ir: pipeline_pb2.Pipeline) -> None:
    inner = [node.sub_pipeline.pipeline_info.id for node in ir.nodes if node.WhichOneof("node") == "sub_pipeline"]
    if inner:
        raise SpecError(
            f"a pipeline must be flat to become one task per node. Received: sub-pipelines {bounded(inner)}",
            fix="add the components of the sub-pipelines to the pipeline itself",
            place=ir.pipeline_info.id,
        )
    if ir.execution_mode != ir.SYNC:
        raise SpecError(
            "`execution_mode` must be SYNC: Airflow starts each node once a run. Received: execution_mode=ASYNC",
            fix="leave `execution_mode` out",
            place=ir.pipeline_info.id,
        )


def _restore_defaults(ir: pipeline_pb2.Pipeline, pipeline: Pipeline) -> None:
    """TFX's compiler drops a default of 0 or "", as if the runtime parameter had none."""
    from tfx.orchestration.data_types import RuntimeParameter

    from pipelines.node.ir import runtime_parameters

    values = [value for node in pipeline.components for value in node.exec_properties.values()]
    defaults = {value.name: value.default for value in values if isinstance(value, RuntimeParameter)}
    for parameter in runtime_parameters(ir):
        default = defaults.get(parameter.name)
        if default is None or parameter.HasField("default_value"):
            continue
        if isinstance(default, str):
            parameter.default_value.string_value = default
        elif isinstance(default, float):
            parameter.default_value.double_value = default
        else:
            parameter.default_value.int_value = default


def _forget_machine(ir: pipeline_pb2.Pipeline, settings: Settings) -> None:
    """Drops a pipeline root inside this installation and the metadata connection: the node runner supplies both."""
    from tfx.proto.orchestration import pipeline_pb2

    root = ir.runtime_spec.pipeline_root.runtime_parameter
    default = root.default_value.string_value
    if not default or Path(default).is_relative_to(settings.state):
        root.ClearField("default_value")
    deployment = pipeline_pb2.IntermediateDeploymentConfig()
    ir.deployment_config.Unpack(deployment)
    deployment.ClearField("metadata_connection_config")
    ir.deployment_config.Pack(deployment, deterministic=True)


def _encode(ir: pipeline_pb2.Pipeline) -> bytes:
    from google.protobuf import json_format

    # The executor specs inside are `Any` messages, which are printed only when their types are loaded.
    from tfx.proto.orchestration import executable_spec_pb2  # noqa: F401

    message = json_format.MessageToDict(ir, preserving_proto_field_name=True)
    return json.dumps(message, indent=1, sort_keys=True).encode() + b"\n"


def _describe(
    ir: pipeline_pb2.Pipeline, *, content: bytes, spec: Spec | None, nodes: dict[str, Mapping[str, Any]]
) -> Manifest:
    name = ir.pipeline_info.id
    ids = [node.pipeline_node.node_info.id for node in ir.nodes]
    if unknown := sorted(nodes.keys() - set(ids)):
        raise SpecError(
            f"`nodes` describes {bounded(unknown)}; the pipeline has {bounded(ids)}",
            fix="correct the node ids",
            place=name,
        )
    executors = _executors(ir)
    compiled = (
        _node(node.pipeline_node, executor=executors.get(node.pipeline_node.node_info.id, ""), nodes=nodes)
        for node in ir.nodes
    )
    return Manifest(
        pipeline=name,
        description=spec.description if spec else "",
        owner=spec.owner if spec else "daybreak",
        simulated=spec.simulated if spec else False,
        ir=f"{name}.ir.json",
        ir_digest=hashlib.sha256(content).hexdigest(),
        spec=spec.model_dump(mode="json") if spec else None,
        schedule=spec.schedule if spec else None,
        budget=spec.budget if spec else Budget(),
        nodes=tuple(compiled),
    )


def _node(node: pipeline_pb2.PipelineNode, *, executor: str, nodes: Mapping[str, Mapping[str, Any]]) -> Node:
    described: dict[str, Any] = {
        "stage": DEFAULT_STAGE,
        "description": node.node_info.type.name.rpartition(".")[2],
        "code": _user_modules(node, executor),
        **nodes.get(node.node_info.id, {}),
    }
    return Node(
        id=node.node_info.id,
        upstream=tuple(sorted(node.upstream_nodes)),
        caching=node.execution_options.caching_options.enable_cache,
        gate=any(output.artifact_spec.type.name == "GateReport" for output in node.outputs.outputs.values()),
        **described,
    )


def _executors(ir: pipeline_pb2.Pipeline) -> dict[str, str]:
    """Class path of the executor by node id; containers and system nodes have none."""
    from tfx.orchestration.local import runner_utils

    specs = runner_utils.extract_local_deployment_config(ir).executor_specs
    paths = {}
    for node, spec in specs.items():
        python = (
            spec.beam_executable_spec.python_executor_spec
            if spec.WhichOneof("spec") == "beam_executable_spec"
            else spec.python_class_executable_spec
        )
        paths[node] = python.class_path
    return paths


def _user_modules(node: pipeline_pb2.PipelineNode, executor: str) -> tuple[str, ...]:
    """Modules outside TFX that decide what the node makes: its own executor, and functions named by dotted path."""
    paths = [executor] if executor and not executor.startswith("tfx.") else []
    for name, value in sorted(node.parameters.parameters.items()):
        path = value.field_value.string_value
        if name.endswith("_fn") and "." in path:
            paths.append(path)
    modules = {path.rpartition(".")[0] for path in paths}
    return tuple(sorted(module for module in modules if _exists(module)))


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def compile_by_name(name: str, settings: Settings, *, changes: Sequence[str] = ()) -> Manifest:
    """Compiles a folder of `pipelines/`, or any importable module that has `create_pipeline()`.

    `changes` to the spec, as `load_spec` takes them, are for one manifest: the folder stays as it is.
    """
    if "." not in name and (Path(__file__).parent / name / "pipeline.yaml").exists():
        from pipelines.assemble import assemble

        spec = load_spec(name, changes=changes)
        pipeline, nodes = assemble(spec, settings)
        return compile_pipeline(pipeline, settings, spec=spec, nodes=nodes)
    if changes:
        raise SpecError(
            f"only what has a pipeline.yaml can be changed. Received: name={name!r}, {bounded(changes)}",
            fix="leave --set out, or change the module",
        )
    module_name = name if "." in name else f"pipelines.{name}.pipeline"
    if not _exists(module_name):
        raise SpecError(
            f"`name` must be a folder of pipelines/ or an importable module: {bounded(known_pipelines())}. "
            f"Received: name={name!r}",
            fix=f"write pipelines/{name}/pipeline.yaml, or a module with create_pipeline()",
        )
    module = importlib.import_module(module_name)
    if not callable(getattr(module, "create_pipeline", None)):
        raise SpecError(
            "there is no function `create_pipeline`",
            fix="define `def create_pipeline() -> tfx.dsl.Pipeline`",
            place=module_name,
        )
    return compile_pipeline(module.create_pipeline(), settings)


def known_pipelines() -> list[str]:
    """Folders of `pipelines/` that hold a spec or a TFX pipeline."""
    here = Path(__file__).parent
    found = {path.parent.name for pattern in ("*/pipeline.yaml", "*/pipeline.py") for path in here.glob(pattern)}
    return sorted(found)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipelines.compile", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--all", action="store_true", help="every folder of pipelines/")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change the spec: train.epochs=8; may be repeated",
    )
    arguments = parser.parse_args(argv)
    names: Iterable[str] = known_pipelines() if arguments.all else arguments.names
    if not names:
        parser.error("give at least one NAME, or --all")
    if arguments.set and (arguments.all or len(arguments.names) != 1):
        parser.error("--set belongs to one NAME")
    settings = Settings.from_environment()
    try:
        for name in names:
            manifest = compile_by_name(name, settings, changes=arguments.set)
            place = settings.manifests / f"{manifest.pipeline}.json"
            print(f"{manifest.pipeline}: {len(manifest.nodes)} nodes, IR {manifest.ir_digest[:12]}, {place}")
    except DaybreakError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
