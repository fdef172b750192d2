"""One try of one node: lock, parameters, stamps, launch, outcome, tracking, exit code."""

from __future__ import annotations

import logging as python_logging
import os
import resource
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from absl import logging
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import pipeline_pb2

from pipelines import cache
from pipelines.artifact_store import ArtifactStore, local_path
from pipelines.cluster import beam_args, chosen
from pipelines.errors import RefusedError
from pipelines.manifest import Manifest, Node
from pipelines.node import failures, ir, lineage, locks, stamps
from pipelines.node.interruption import Interrupted, Signals, catch_signals
from pipelines.node.launcher import NodeLauncher, check_published
from pipelines.node.metadata import Connection, connection_config
from pipelines.node.temporary import temporary_folder
from pipelines.outcome import ArtifactRef, Outcome, State, outcome_path, read_outcome, write_outcome
from pipelines.override import Override, forget_override
from pipelines.settings import Settings
from pipelines.spec import Cluster

FORCE = "force"
"""The runtime parameter of pipelines in which forcing changes what a node makes."""


@dataclass(frozen=True)
class Attempt:
    manifest: Manifest
    folder: Path
    """Where the manifest lies, and its IR beside it."""
    node: str
    run_id: str
    day: str
    given: Mapping[str, str] = field(default_factory=dict)
    """Runtime parameters as text."""
    skip_cache: bool = False
    cluster: str = ""
    """Where Beam runs, instead of the spec's."""
    override: Override | None = None
    """Who forces the run past a refusal, and why."""
    verbose: bool = False

    @property
    def described(self) -> Node:
        return self.manifest.node(self.node)

    @property
    def place(self) -> str:
        return f"{self.manifest.pipeline}/{self.node} of {self.day}"


@dataclass
class _Progress:
    """What is known so far; becomes the outcome however the try ends."""

    state: State = State.FAILED
    exit_code: int = 1
    cache: str = ""
    error: str = ""
    override: Override | None = None
    work_started: float | None = None
    parameters: dict[str, str | int] = field(default_factory=dict)
    inputs: dict[str, tuple[ArtifactRef, ...]] = field(default_factory=dict)
    outputs: dict[str, tuple[ArtifactRef, ...]] = field(default_factory=dict)


def run_attempt(attempt: Attempt, settings: Settings) -> int:
    """Runs the node; prints, records and returns how it ended. Never raises."""
    started = time.time()
    progress = _Progress()
    _prepare_process(attempt)
    print(f"daybreak: {attempt.place}, run {attempt.run_id}", flush=True)
    with catch_signals() as signals:
        try:
            lock = settings.runs / attempt.manifest.pipeline / "locks" / f"{attempt.day}-{attempt.node}.lock"
            with (
                locks.exclusive(lock, holder=f"run {attempt.run_id}"),
                temporary_folder(settings, attempt.place),
            ):
                _launch(attempt, settings, progress, signals)
        except Interrupted as error:
            progress.exit_code, progress.error = error.exit_code, str(error)
        except RefusedError as error:
            progress.state, progress.exit_code, progress.error = State.REFUSED, error.exit_code, str(error)
        except BaseException as error:  # noqa: BLE001  # SystemExit of user code too
            traceback.print_exc()
            known = failures.explain(
                error, user_code=failures.user_code(attempt.manifest, attempt.node), place=attempt.place
            )
            progress.exit_code, progress.error = known.exit_code, str(known)
        signals.mute()
        outcome = _conclude(attempt, settings, progress, started)
    print(
        f"daybreak: {attempt.place} {_summary(outcome)}", file=sys.stderr if outcome.error else sys.stdout, flush=True
    )
    return outcome.exit_code


def _prepare_process(attempt: Attempt) -> None:
    os.environ.update(
        DAYBREAK_PIPELINE=attempt.manifest.pipeline,
        DAYBREAK_RUN_ID=attempt.run_id,
        DAYBREAK_NODE=attempt.node,
        DAYBREAK_DAY=attempt.day,
    )
    forget_override()
    if attempt.override:
        os.environ.update(attempt.override.environment())
    logging.set_verbosity(logging.INFO if attempt.verbose else logging.WARNING)
    # Said for every input of every node; TFX 1.21 compiles the predicate in and never reads it.
    logging.get_absl_logger().addFilter(lambda record: "property_predicate is not supported" not in record.getMessage())
    python_logging.getLogger("apache_beam").setLevel(python_logging.INFO if attempt.verbose else python_logging.WARNING)


def _launch(attempt: Attempt, settings: Settings, progress: _Progress, signals: Signals) -> None:
    pipeline = ir.read_ir(attempt.manifest, attempt.folder)
    parameters = ir.bind(
        pipeline,
        run_id=attempt.run_id,
        day=attempt.day,
        given={**_force(pipeline, attempt), **attempt.given},
        default_root=settings.artifacts / attempt.manifest.pipeline,
    )
    progress.parameters = {name: value if isinstance(value, int) else str(value) for name, value in parameters.items()}
    node = ir.pick_node(pipeline, attempt.node)
    ir.add_stamps(node, stamps.compute_stamps(attempt.manifest, attempt.described, parameters))
    if attempt.skip_cache:
        node.execution_options.caching_options.enable_cache = False
    connection = Connection(connection_config(settings, os.environ))

    def on_miss(info: data_types.ExecutionInfo) -> None:
        with signals.held_back(), connection:
            progress.cache = _explain_miss(attempt, connection, node, info)
        print(f"daybreak: cache {progress.cache}", flush=True)
        progress.work_started = time.time()

    execution_id = NodeLauncher(
        node,
        connection=connection,
        signals=signals,
        artifacts=ArtifactStore.of(settings),
        on_miss=on_miss,
        beam_args=lambda: _beam_args(attempt, settings),
        pipeline_info=pipeline.pipeline_info,
        pipeline_runtime_spec=pipeline.runtime_spec,
        **ir.executor_specs(pipeline, attempt.node),
    ).launch()
    if execution_id is None:
        progress.state, progress.exit_code = State.COMPLETE, 0
        progress.cache = "skipped by a condition of the pipeline"
        return
    with signals.held_back():
        _read_back(attempt, connection, execution_id, progress)
    _obey_gate(attempt, progress)


def _force(pipeline: pipeline_pb2.Pipeline, attempt: Attempt) -> dict[str, str]:
    """For a pipeline of which a node makes something else when the run is forced; gates do not, they are passed."""
    declared = any(parameter.name == FORCE for parameter in ir.runtime_parameters(pipeline))
    return {FORCE: str(int(attempt.override is not None))} if declared else {}


def _beam_args(attempt: Attempt, settings: Settings) -> list[str] | None:
    """None for a plain TFX pipeline, which brings its own, unless the run asks."""
    spec = attempt.manifest.spec
    if spec is None and not attempt.cluster:
        return None
    cluster = chosen(Cluster.model_validate(spec["cluster"]) if spec else Cluster(), asked=attempt.cluster)
    print(f"daybreak: Beam on {cluster.kind}", flush=True)
    declared = spec["resources"].get(attempt.node, {}) if spec else {}
    return beam_args(cluster, settings, slots=declared.get("slots"))


def _explain_miss(attempt: Attempt, connection: Connection, node: object, info: data_types.ExecutionInfo) -> str:
    [execution] = connection.store.get_executions_by_id([info.execution_id])
    now = lineage.describe(connection.store, execution)
    # A driver may have added parameters, such as the fingerprint of the input files, after the registration.
    added = {key: value for key, value in info.exec_properties.items() if isinstance(value, str | int | float)}
    now = cache.Execution(id=now.id, run_id=now.run_id, parameters={**now.parameters, **added}, inputs=now.inputs)
    before = lineage.newest_success(connection.store, node, before=info.execution_id)
    return cache.explain_miss(now, before, skipped=attempt.skip_cache, caching=attempt.described.caching)


def _read_back(attempt: Attempt, connection: Connection, execution_id: int, progress: _Progress) -> None:
    with connection:
        [execution] = connection.store.get_executions_by_id([execution_id])
        check_published(execution, attempt.place)
        progress.inputs, progress.outputs = lineage.artifacts_of(connection.store, execution_id)
        progress.state, progress.exit_code = State.COMPLETE, 0
        if execution.last_known_state == metadata_store_pb2.Execution.CACHED:
            progress.state = State.CACHED
            made_by = lineage.producer(connection.store, progress.outputs)
            progress.cache = cache.explain_hit(made_by) if made_by else "hit"
            print(f"daybreak: cache {progress.cache}", flush=True)


def _obey_gate(attempt: Attempt, progress: _Progress) -> None:
    """Raises `RefusedError` when a gate refused the day, now or when the cached execution ran: no later node runs.

    A forced run goes on. The report stays as it is, so that a run that is not forced finds the refusal in the cache.
    """
    from components.decision.report import GateReport, Verdict

    for artifact in (a for artifacts in progress.outputs.values() for a in artifacts if a.type == "GateReport"):
        report = GateReport.read(local_path(artifact.uri))
        if report.verdict is not Verdict.REFUSED:
            continue
        if attempt.override is None:
            raise RefusedError(
                f"the gate refused the day: {report.reason}", fix=report.next_command, place=attempt.place
            )
        progress.override = attempt.override
        print(
            f"daybreak: refused, yet forced on by {attempt.override.user}: {attempt.override.reason}; {report.reason}",
            flush=True,
        )


def _conclude(attempt: Attempt, settings: Settings, progress: _Progress, started: float) -> Outcome:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    before = read_outcome(outcome_path(settings, attempt.manifest.pipeline, attempt.run_id, attempt.node))
    outcome = Outcome(
        pipeline=attempt.manifest.pipeline,
        run_id=attempt.run_id,
        node=attempt.node,
        stage=attempt.described.stage,
        day=attempt.day,
        parameters=progress.parameters,
        state=progress.state,
        exit_code=progress.exit_code,
        cache=progress.cache,
        error=progress.error,
        override=progress.override,
        started=started,
        ended=time.time(),
        work_started=progress.work_started,
        cpu_secs=sum(use.ru_utime + use.ru_stime for use in usage),
        peak_memory_bytes=max(use.ru_maxrss for use in usage) * 1024,
        earlier=before.tries if before else (),
        inputs=progress.inputs,
        outputs=progress.outputs,
    )
    try:
        write_outcome(settings, outcome)
        url = _track(outcome, settings)
        if url:
            outcome = outcome.model_copy(update={"tracking_url": url})
            write_outcome(settings, outcome)
    except OSError as error:  # a full disk: the exit code still says how the node ended
        print(f"daybreak: the outcome could not be written: {error}", file=sys.stderr, flush=True)
    return outcome


def _track(outcome: Outcome, settings: Settings) -> str:
    """Tracking never fails a node."""
    try:
        from components.tracking import report_outcome

        return report_outcome(outcome, settings=settings)
    except Exception as error:  # noqa: BLE001
        print(f"daybreak: not tracked: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return ""


def _summary(outcome: Outcome) -> str:
    spent = f"{outcome.seconds:.1f} s, {outcome.cpu_secs:.1f} CPU s, {outcome.peak_memory_bytes / 2**20:.0f} MiB"
    error = f"\n{outcome.error}" if outcome.error else ""
    return f"{outcome.state} (exit code {outcome.exit_code}) in {spent}{error}"
