"""One task, one node: runs the node command in the ML environment and follows it.

    NodeOperator(task_id="train", manifest=manifest, manifest_path=path, node=manifest.node("train"))

Its exit code decides whether Airflow tries again.
"""

from __future__ import annotations

import datetime
import time
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from dags.command_operator import CommandOperator, NodeFailedForNow
from dags.links import ReportsLink, TrackingLink
from dags.parameters import RunParameters
from dags.runs import run_id
from pipelines.errors import DaybreakError, RefusedError, retry_can_help
from pipelines.outcome import Outcome, read_outcomes
from pipelines.settings import Settings

ERROR_LINES = 12


class NodeOperator(CommandOperator):
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

    def execute(self, context: Any) -> dict[str, Any]:
        settings = Settings.from_environment()
        try:
            parameters = RunParameters.of(context, zone=ZoneInfo(self.timezone))
        except DaybreakError as error:
            # Every first node says so; there is no run to conclude then.
            raise (AirflowFailException if self.node else AirflowSkipException)(str(error)) from None
        run = run_id(self.pipeline, day=parameters.day, airflow_run_id=context["run_id"])
        started = time.time()
        arguments, environ = self._arguments(run, parameters), _names(context, run=run)
        code = self._run(arguments, name=f"node {self.node or 'conclude'}", settings=settings, environ=environ)
        self.outcome = self._read_outcome(settings, run=run, since=started)
        if code != 0:
            self._fail(code)
        result = summary(self.outcome, run=run, day=parameters.day)
        for outlet in self.outlets:
            context["outlet_events"][
                outlet
            ].extra = result  # what listens to the asset needs no database to know the run
        return result

    def _arguments(self, run: str, parameters: RunParameters) -> list[str]:
        common = ["--manifest", self.manifest_path, "--run-id", run, "--day", parameters.day.isoformat()]
        if self.node is None:
            return ["conclude", *common]
        return ["run", *common, "--node", self.node, *parameters.arguments(with_defaults=self.has_spec)]

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
