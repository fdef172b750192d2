"""Tasks of a rollout: a tick, and what a person does to it.

    TickOperator(task_id="tick", pipeline="shop", simulated=True)
    ActionOperator(task_id="act", pipeline="shop", simulated=True)

Both run `python -m components.rollout`, in the warm worker when there is one; what they report travels by XCom. The
state of a rollout is in PostgreSQL, never in Airflow: a tick that is lost or killed is made up for by the next one.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow.sdk.bases.skipmixin import SkipMixin
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from dags.command_operator import CommandOperator, NodeFailedForNow
from dags.links import RolloutLink
from dags.rollout_form import Action, action_of, answer_of, clock_arguments
from pipelines.errors import DaybreakError, SpecError, retry_can_help
from pipelines.settings import Settings

ASK, APPROVAL = "ask_approval", "approval"


class RolloutOperator(CommandOperator):
    """Runs one command of `python -m components.rollout`."""

    ui_color = "#d9ead3"
    operator_extra_links = (RolloutLink(),)

    def __init__(self, *, pipeline: str, simulated: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline, self.simulated = pipeline, simulated
        self.report: dict[str, Any] = {}

    def _command(self, arguments: Sequence[str]) -> int:
        settings = Settings.from_environment()
        settings.temporary.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=settings.temporary, prefix="tick-") as folder:
            path = Path(folder) / "report.json"
            command = ["rollout", *arguments, f"--report={path}"]
            code = self._run(command, name=" ".join(arguments[:3]), settings=settings, environ={})
            self.report = json.loads(path.read_text()) if path.exists() else {}
        return code

    def _fail(self, code: int) -> None:
        reason = "; ".join(self.report.get("problems", [])) or "see the log above"
        kind = NodeFailedForNow if retry_can_help(code) else AirflowFailException
        raise kind(f"the rollout of {self.pipeline} ended with exit code {code}: {reason}")


class TickOperator(RolloutOperator, SkipMixin):
    """One tick; what comes after it runs only when somebody's approval is needed."""

    inherits_from_skipmixin = True

    def execute(self, context: Any) -> None:
        clock = clock_arguments(context["params"], simulated=self.simulated)
        code = self._command(["tick", self.pipeline, *clock])
        context["ti"].xcom_push(key="return_value", value=self.report)
        if code:
            self._fail(code)
        if not self.report.get(APPROVAL):
            self.skip(context["ti"], self.downstream_list)  # ends the task, well


class ActionOperator(RolloutOperator):
    """Pause, resume, abort, approve or force, by the person who triggered the DAG."""

    def execute(self, context: Any) -> dict[str, Any]:
        form = context["params"]
        try:
            action = action_of(form, user=context["dag_run"].triggering_user_name or "")
        except DaybreakError as error:
            raise AirflowFailException(str(error)) from None
        return self._act(action, clock_arguments(form, simulated=self.simulated))

    def _act(self, action: Action, clock: Sequence[str]) -> dict[str, Any]:
        name, *rest = action.arguments()
        if code := self._command(["act", self.pipeline, name, *rest, *clock]):
            self._fail(code)
        return self.report


class AnswerOperator(ActionOperator):
    """Carries out what a person answered to the approval task `approve`."""

    def execute(self, context: Any) -> dict[str, Any]:
        answer: Mapping[str, Any] = context["ti"].xcom_pull(task_ids="approve")
        rollout = str(context["dag_run"].conf["rollout"])
        return self._act(answer_of(answer, rollout=rollout), clock_arguments({}, simulated=self.simulated))

    def _fail(self, code: int) -> None:
        if code == SpecError.exit_code:
            raise AirflowSkipException(
                "too late: somebody else decided, or a newer candidate took its place (see the log)"
            )
        super()._fail(code)
