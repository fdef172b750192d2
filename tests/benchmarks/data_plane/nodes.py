"""One TFX node run through its executor, its artifacts kept beside it for the nodes after it.

    run = prepare_node(node, folder, beam_args, parameters={"day": "2026-01-05"})
    run()        # folder/<node>/<output>/…, and folder/<node>/artifacts.json

The executor, its inputs and its parameters come from the component, so that a stage may be rebuilt without a change here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import Artifact


def prepare_node(
    node: BaseNode,
    folder: Path,
    beam_args: Sequence[str],
    *,
    parameters: Mapping[str, Any] | None = None,
    executor_class: type[BaseExecutor] | None = None,
) -> Callable[[], None]:
    """Imports the executor and finds its inputs; calling the result is the work.

    Args:
      executor_class: instead of the node's own.

    Raises:
        FileNotFoundError: a node before it has not run in this folder.
    """
    executor_class = executor_class or node.executor_spec.executor_class
    inputs = {key: read_artifacts(folder, channel) for key, channel in node.inputs.items()}
    for key, found in inputs.items():
        if not found and not node.spec.INPUTS[key].optional:
            before = node.inputs[key].producer_component_id
            raise FileNotFoundError(
                f"{node.id} reads what {before} wrote, which is not in {folder}: run {before} first"
            )
    properties = {name: _resolved(value, parameters or {}) for name, value in node.exec_properties.items()}
    outputs: dict[str, list[Artifact]] = {}
    for key, channel in node.outputs.items():
        artifact = channel.type()
        artifact.uri = str(folder / node.id / key)
        Path(artifact.uri).mkdir(parents=True, exist_ok=True)
        outputs[key] = [artifact]
    executor = executor_class(_context(executor_class, folder, beam_args))

    def run() -> None:
        given = {name: value for name, value in properties.items() if value is not None}
        executor.Do({key: found for key, found in inputs.items() if found}, outputs, given)
        write_artifacts(folder, node.id, outputs)

    return run


def _resolved(value: Any, parameters: Mapping[str, Any]) -> Any:
    return parameters.get(value.name, value.default) if isinstance(value, RuntimeParameter) else value


def _context(executor_class: type[BaseExecutor], folder: Path, beam_args: Sequence[str]) -> Any:
    (folder / "temporary").mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"tmp_dir": str(folder / "temporary"), "unique_id": "1"}
    if issubclass(executor_class, BaseBeamExecutor):
        return BaseBeamExecutor.Context(beam_pipeline_args=list(beam_args), **options)
    return BaseExecutor.Context(**options)


def write_artifacts(folder: Path, node: str, outputs: Mapping[str, Sequence[Artifact]]) -> None:
    found = {key: [artifact.to_json_dict() for artifact in artifacts] for key, artifacts in outputs.items()}
    (folder / node).mkdir(parents=True, exist_ok=True)
    (folder / node / "artifacts.json").write_text(json.dumps(found))


def read_artifacts(folder: Path, channel: Any) -> list[Artifact]:
    """What the producer wrote; none when it never ran, as for an optional input."""
    path = folder / channel.producer_component_id / "artifacts.json"
    if not path.exists():
        return []
    return [Artifact.from_json_dict(found) for found in json.loads(path.read_text())[channel.output_key]]
