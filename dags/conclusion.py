"""The end of every run: its decision record, also when Airflow stopped the run before its last task.

`conclude` is a teardown task, so that it runs whatever happened before it and never turns a failed run into a good
one. A run that outlives its budget is stopped with all its tasks; then this module's callback concludes it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from dags.child_environment import child_environment
from dags.runs import find_run, record_event
from pipelines.manifest import Manifest
from pipelines.outcome import run_folder
from pipelines.settings import Settings
from pipelines.worker_client import start_node, worker_socket

TASK_ID = "conclude"
START_SECS, WAIT_SECS = 10.0, 35.0
"""For the worker to answer, then for the conclusion: Airflow's DAG processor kills a callback after 50 s."""

log = logging.getLogger(__name__)


def conclude_when_stopped(manifest: Manifest, manifest_path: str) -> Callable[[Mapping[str, Any]], None]:
    """A DAG's `on_failure_callback`: writes the decision record of a run stopped by `dagrun_timeout`."""

    def callback(context: Mapping[str, Any]) -> None:
        if context.get("reason") != "timed_out":
            return  # the teardown task has written it
        hours = manifest.budget.hours
        conclude(
            manifest.pipeline,
            manifest_path,
            airflow_run_id=str(context["run_id"]),
            reason=f"stopped: the run was not done after its budget of {hours:g} hours",
        )

    return callback


def conclude(pipeline: str, manifest_path: str, *, airflow_run_id: str, reason: str) -> int | None:
    """Runs `python -m pipelines.node conclude`; its exit code, or none when no node ever started."""
    settings = Settings.from_environment()
    found = find_run(settings, pipeline, airflow_run_id=airflow_run_id)
    if found is None:
        log.warning("%s: %s; no node had started, so there is nothing to conclude", airflow_run_id, reason)
        return None
    run, day = found
    record_event(settings, pipeline=pipeline, run=run, event={"event": "stopped", "reason": reason})
    arguments = ["conclude", "--manifest", manifest_path, "--run-id", run, "--day", day, "--reason", reason]
    with (run_folder(settings, pipeline, run) / "conclude.log").open("ab") as output:
        process = start_node(
            arguments,
            ml_python=settings.python("ml"),
            worker_socket=worker_socket(settings),
            environ=child_environment(os.environ, {"DAYBREAK_AIRFLOW_RUN": airflow_run_id}),
            cwd=settings.home,
            stdout=output.fileno(),
            stderr=output.fileno(),
            start_timeout_secs=START_SECS,
        )
        return process.wait(WAIT_SECS)
