"""TFX's launcher with the manners of an orchestrated task.

Against the stock launcher: every try is an execution of its own, a failure anywhere (driver and input resolution too) is
published and raised, an interruption is published as canceled, nothing half-written stays on disk, and no gRPC server is
opened per node. Executors see local folders, whatever storage the artifacts are kept on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.portable import data_types, launcher, outputs_utils
from tfx.orchestration.portable.beam_executor_operator import BeamExecutorOperator
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.proto.orchestration import execution_result_pb2, pipeline_pb2, placeholder_pb2

import components.artifacts  # noqa: F401  # types that are imported are found; others are made up, with a warning each
from pipelines.artifact_store import ArtifactStore, discard
from pipelines.errors import DataError, TransientError
from pipelines.node import filesystem
from pipelines.node.interruption import Interrupted, Signals
from pipelines.node.lineage import contexts_of
from pipelines.node.metadata import Connection
from pipelines.node.store import SUPERSEDED, Store

_STATE = metadata_store_pb2.Execution
_STATEFUL_INDEX = "__stateful_working_dir_index__"
_ERROR_CODE_UNKNOWN = 2

filesystem.register()


class NodeLauncher(launcher.Launcher):  # type: ignore[misc]
    """Runs one node once.

    Args:
      artifacts: where they are kept.
      on_miss: called before the executor runs, with the execution and its final parameters.
      beam_args: asked before a Beam executor runs; none takes those that were compiled. Not part of the cache key:
        where a stage runs does not change its bytes.
    """

    def __init__(
        self,
        node: pipeline_pb2.PipelineNode,
        *,
        connection: Connection,
        signals: Signals,
        artifacts: ArtifactStore,
        on_miss: Callable[[data_types.ExecutionInfo], None],
        beam_args: Callable[[], list[str] | None] = lambda: None,
        **specs: Any,
    ) -> None:
        super().__init__(pipeline_node=node, mlmd_connection=connection, **specs)
        self._signals, self._on_miss, self._beam_args = signals, on_miss, beam_args
        self._artifacts = artifacts
        self._execution_id: int | None = None
        self._run_id = self._pipeline_runtime_spec.pipeline_run_id.field_value.string_value

    def launch(self) -> int | None:
        """Returns the id of the execution; none when a condition of the pipeline skips the node."""
        with self._signals.held_back(), self._mlmd_connection as connection:
            self._supersede_earlier_tries(connection.store)
        try:
            if self._system_node_handler:
                return self._handle_system_node()
            return self._execute()
        except BaseException as error:
            with self._signals.held_back():
                self._publish_end(error)
            raise

    def _handle_system_node(self) -> int | None:
        with self._signals.held_back():
            info = super().launch()
        return info.execution_id if info else None

    def _execute(self) -> int | None:
        prepared = self._prepare_execution()
        info = prepared.execution_info
        if not prepared.is_execution_needed:
            return info.execution_id or None
        try:
            self._on_miss(info)
            self._choose_cluster()
            self._remove(info)  # of a try whose machine died: the same id after a restored database
            places = self._fetch_inputs(info)
            output = self._run_executor(info)
            self._keep_outputs(info, output, places)
            with self._signals.held_back():
                self._publish_successful_execution(info.execution_id, prepared.contexts, info.output_dict, output)
        except BaseException:
            with self._signals.held_back():
                self._remove(info)
            raise
        finally:
            for folder in (info.tmp_dir, info.stateful_working_dir):
                discard(Path(folder))
        return int(info.execution_id)

    def _fetch_inputs(self, info: data_types.ExecutionInfo) -> dict[str, str]:
        """Makes the inputs local; returns the URI of each by its local path."""
        places = {}
        for artifact in (one for artifacts in info.input_dict.values() for one in artifacts):
            local = str(self._artifacts.fetch(artifact.uri)) if self._artifacts.is_ours(artifact.uri) else artifact.uri
            places[local], artifact.uri = artifact.uri, local
        return places

    def _keep_outputs(
        self,
        info: data_types.ExecutionInfo,
        output: execution_result_pb2.ExecutorOutput,
        places: Mapping[str, str],
    ) -> None:
        """Publishes them on the storage, and puts URIs in place of local paths for ML Metadata."""
        made = [one for artifacts in info.output_dict.values() for one in artifacts if not one.is_external]
        uris = {**places, **{one.uri: self._artifacts.publish(Path(one.uri)) for one in made}}
        named = [one.mlmd_artifact for artifacts in info.output_dict.values() for one in artifacts]
        named += [one for artifacts in output.output_artifacts.values() for one in artifacts.artifacts]
        for artifact in named:
            artifact.uri = uris.get(artifact.uri, artifact.uri)
            for value in artifact.custom_properties.values():
                if value.string_value in uris:
                    value.string_value = uris[value.string_value]

    def _choose_cluster(self) -> None:
        operator = self._executor_operator
        if isinstance(operator, BeamExecutorOperator) and (arguments := self._beam_args()) is not None:
            operator.beam_pipeline_args = [_literal(argument) for argument in arguments]

    def _register_or_reuse_execution(self, **arguments: Any) -> Any:
        """Always a new execution: the earlier tries of this run were superseded."""
        with self._signals.held_back():
            arguments["execution_type"] = self._pipeline_node.node_info.type
            execution = launcher._register_execution(**arguments)
            self._execution_id = execution.id
        execution.custom_properties[_STATEFUL_INDEX].string_value = self._run_id
        return execution

    def _supersede_earlier_tries(self, store: Store) -> None:
        changed = []
        for execution in store.get_executions_of_node(contexts_of(self._pipeline_node, run=True)):
            if SUPERSEDED in execution.custom_properties:
                continue
            if not execution_lib.is_execution_successful(execution):
                self._remove_outputs_of(execution.id)
            if execution_lib.is_execution_active(execution):
                execution.last_known_state = _STATE.FAILED  # killed: it could not say so itself
            execution.custom_properties[SUPERSEDED].int_value = 1
            changed.append(execution)
        if changed:
            store.put_executions(changed)

    def _remove_outputs_of(self, execution_id: int) -> None:
        node_folder = self._node_folder()
        for key in self._pipeline_node.outputs.outputs:
            self._artifacts.discard(str(node_folder / key / str(execution_id)))
        discard(node_folder / ".system" / "executor_execution" / str(execution_id))
        discard(node_folder / ".system" / "stateful_working_dir" / self._run_id)

    def _remove(self, info: data_types.ExecutionInfo) -> None:
        for artifacts in info.output_dict.values():
            for artifact in artifacts:
                if not artifact.is_external:
                    self._artifacts.discard(artifact.uri)

    def _node_folder(self) -> Path:
        return Path(outputs_utils.get_node_dir(self._pipeline_runtime_spec, self._pipeline_node.node_info.id))

    def _publish_end(self, error: BaseException) -> None:
        """Marks the execution canceled or failed, with the message; the error itself matters more than a failure here."""
        if self._execution_id is None:
            return
        result = execution_result_pb2.ExecutionResult(code=_ERROR_CODE_UNKNOWN, result_message=str(error)[:4000])
        try:
            with self._mlmd_connection as connection:
                [execution] = connection.store.get_executions_by_id([self._execution_id])
                if execution_lib.is_execution_successful(execution):
                    return
                interrupted = isinstance(error, Interrupted)
                execution.last_known_state = _STATE.CANCELED if interrupted else _STATE.FAILED
                execution_lib.set_execution_result(result, execution)
                connection.store.put_executions([execution])
        except Exception as second:  # noqa: BLE001
            print(f"daybreak: the end of execution {self._execution_id} could not be published: {second}", flush=True)


def _literal(text: str) -> placeholder_pb2.PlaceholderExpression:
    expression = placeholder_pb2.PlaceholderExpression()
    expression.value.string_value = text
    return expression


def check_published(execution: metadata_store_pb2.Execution, node_id: str) -> None:
    """TFX publishes a failed input resolution and returns as if nothing had happened."""
    if execution_lib.is_execution_successful(execution):
        return
    result = execution_lib.get_execution_result(execution, ignore_parse_errors=True)
    message = result.result_message if result else "no message"
    if "InsufficientInputError" in message or "min_count" in message:
        raise DataError(
            "an input has no artifact in this run: a node above did not end well",
            fix="clear the nodes above it, or run them first with the same --run-id",
            place=node_id,
        )
    raise TransientError(f"execution {execution.id} did not complete: {message}", fix="retry the task", place=node_id)
