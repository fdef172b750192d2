"""One task, one node: runs the node command in the ML environment and follows it.

    NodeOperator(task_id="train", manifest=manifest, manifest_path=path, node=manifest.node("train"))

The node runs in the warm worker when there is one, else as a cold process. What it prints appears in the task's log
at once; its exit code decides whether Airflow tries again; killing the task kills the node.
"""

from __future__ import annotations

import datetime
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from dags.child_environment import child_environment
from dags.links import ReportsLink, TrackingLink
from dags.parameters import RunParameters
from dags.runs import run_id
from pipelines.errors import DaybreakError, RefusedError, retry_can_help
from pipelines.outcome import Outcome, read_outcomes
from pipelines.settings import Settings
from pipelines.worker_client import NodeProcess, start_node, worker_socket

KILL_GRACE_SECS = 4.0
"""Between TERM and KILL when Airflow kills the task; Airflow itself follows with KILL after 5 s."""
TIMEOUT_GRACE_SECS = 20.0
"""The same after `execution_timeout`, when nobody is in a hurry."""
ERROR_LINES = 12


class NodeFailedForNow(AirflowException):
    """The node was killed, or failed for a reason that may be gone on the next try."""


class NodeOperator(BaseOperator):
    """Runs one node of a compiled pipeline; `node=None` concludes the run instead.

    Args:
      timezone: of the schedule; says which day "yesterday" is.
      has_spec: whether the pipeline was compiled from a spec, and so has all parameters of the trigger form.

    Raises:
      NodeFailedForNow: when a retry can help.
      AirflowFailException: when it cannot, a refusal by a gate included.
    """

    ui_color = "#fde9c9"
    operator_extra_links = (TrackingLink(), ReportsLink())

    def __init__(
        self,
        *,
        pipeline: str,
        manifest_path: str,
        node: str | None,
        timezone: str = "UTC",
        has_spec: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.has_spec = has_spec
        self.pipeline, self.manifest_path, self.node, self.timezone = pipeline, manifest_path, node, timezone
        self.outcome: Outcome | None = None
        self._process: NodeProcess | None = None
        self._killed = False

    def execute(self, context: Any) -> dict[str, Any]:
        settings = Settings.from_environment()
        try:
            parameters = RunParameters.of(context, zone=ZoneInfo(self.timezone))
        except DaybreakError as error:
            # Every first node says so; there is no run to conclude then.
            raise (AirflowFailException if self.node else AirflowSkipException)(str(error)) from None
        run = run_id(self.pipeline, day=parameters.day, airflow_run_id=context["run_id"])
        started = time.time()
        code = self._run(self._arguments(run, parameters), settings=settings, environ=_names(context, run=run))
        self.outcome = self._read_outcome(settings, run=run, since=started)
        if code != 0:
            self._fail(code)
        result = summary(self.outcome, run=run, day=parameters.day)
        for outlet in self.outlets:
            context["outlet_events"][
                outlet
            ].extra = result  # what listens to the asset needs no database to know the run
        return result

    def on_kill(self) -> None:
        """Runs in a signal handler over `execute`, which goes on to see the node end."""
        self._killed = True
        if self._process is None:
            return
        self._process.terminate()
        timer = threading.Timer(KILL_GRACE_SECS, self._process.kill)
        timer.daemon = True
        timer.start()

    def _arguments(self, run: str, parameters: RunParameters) -> list[str]:
        common = ["--manifest", self.manifest_path, "--run-id", run, "--day", parameters.day.isoformat()]
        if self.node is None:
            return ["conclude", *common]
        return ["run", *common, "--node", self.node, *parameters.arguments(with_defaults=self.has_spec)]

    def _run(self, arguments: Sequence[str], *, settings: Settings, environ: Mapping[str, str]) -> int:
        with self._log_lines() as descriptor:
            self._process = start_node(
                arguments,
                ml_python=settings.python("ml"),
                worker_socket=worker_socket(settings),
                environ=child_environment(os.environ, environ),
                cwd=settings.home,
                stdout=descriptor,
                stderr=descriptor,
            )
            where = "in the warm worker" if self._process.warm else "cold, without a warm worker"
            self.log.info("node %s runs %s, process %s", self.node or "conclude", where, self._process.pid)
            if self._killed:  # the signal came while the node was starting
                self.on_kill()
            try:
                return self._process.wait()
            except BaseException:
                self._process.stop(grace_secs=TIMEOUT_GRACE_SECS)
                raise

    @contextmanager
    def _log_lines(self) -> Iterator[int]:
        """A file descriptor whose lines go to the task's log as they come."""
        reading, writing = os.pipe()
        reader = threading.Thread(target=self._follow, args=(reading,), daemon=True)
        reader.start()
        try:
            yield writing
        finally:
            os.close(writing)
            reader.join(timeout=KILL_GRACE_SECS)  # a stray grandchild may hold the pipe open

    def _follow(self, descriptor: int) -> None:
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self.log.info("%s", line.rstrip("\n"))

    def _read_outcome(self, settings: Settings, *, run: str, since: float) -> Outcome | None:
        """What this try wrote; the file of an earlier try, left when the node was killed, does not count."""
        outcome = read_outcomes(settings, self.pipeline, run).get(self.node or "")
        return outcome if outcome is not None and outcome.ended >= since else None

    def _fail(self, code: int) -> None:
        reason = _first_lines(self.outcome.error) if self.outcome and self.outcome.error else "see the log above"
        name = self.node or "conclude"
        if code == RefusedError.exit_code:
            raise AirflowFailException(f"{name} refused the day: {reason}")
        if retry_can_help(code):
            raise NodeFailedForNow(f"{name} ended with exit code {code}, a retry can help: {reason}")
        raise AirflowFailException(f"{name} failed with exit code {code}, a retry cannot help: {reason}")


def summary(outcome: Outcome | None, *, run: str, day: datetime.date) -> dict[str, Any]:
    """What the task hands on by XCom: small, for humans and links; artifacts travel by metadata store."""
    if outcome is None:
        return {"run_id": run, "day": day.isoformat()}
    return {
        "run_id": run,
        "day": day.isoformat(),
        "state": outcome.state.value,
        "cache": outcome.cache,
        "seconds": round(outcome.seconds, 3),
        "started": outcome.started,
        "tracking_url": outcome.tracking_url,
    }


def _names(context: Any, *, run: str) -> dict[str, str]:
    """What tracking writes down to lead from an MLflow run back to Airflow; nothing secret."""
    task = context["ti"]
    return {
        "DAYBREAK_AIRFLOW_DAG": task.dag_id,
        "DAYBREAK_AIRFLOW_RUN": context["run_id"],
        "DAYBREAK_AIRFLOW_TRY": str(task.try_number),
        "DAYBREAK_RUN_ID": run,
    }


def _first_lines(text: str) -> str:
    lines = text.strip().splitlines()
    rest = len(lines) - ERROR_LINES
    return "\n".join(lines[:ERROR_LINES]) + (f"\n… and {rest} more lines in the log" if rest > 0 else "")
