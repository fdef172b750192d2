"""One whole installation for the session: PostgreSQL, Airflow, MLflow and the worker, with a small simulated shop."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from infra.demo import DAG, Retrains, patiently, run_id
from infra.live_shop import PIPELINE
from infra.services.airflow_api import AirflowApi
from infra.services.credentials import AIRFLOW_USER
from pipelines.outcome import Outcome, outcome_path, read_outcomes
from pipelines.settings import Settings
from tests.infra.installation import Installation, reachable_folder

ROWS = 20_000  # what the simulator makes by default; with a third of it the spec trains too few steps
RUN_SECS = 420.0
_KPIS = (
    "[{name: click_value, numerator: click_value, margin: 0.05},"
    " {name: click_rate, numerator: clicked, margin: 0.05, guardrail: true}]"
)
PROMOTED_AT_ONCE = ("--set", "rollout=null", "--set", f"kpis={_KPIS}")
"""These days are about gates, by the margin that a log can tell; users decide in test_loop.py."""


@dataclass
class Shop:
    """The shop's DAG in a running installation."""

    installation: Installation
    api: AirflowApi

    @property
    def settings(self) -> Settings:
        return self.installation.settings

    def ml(self, *command: str) -> subprocess.CompletedProcess[str]:
        """`python -m …` in the ML environment, in this installation."""
        return subprocess.run(
            [str(self.settings.python("ml")), "-m", *command],
            cwd=self.settings.home,
            env=self.installation.environ(),
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_SECS,
        )

    def trigger(self, name: str, **conf: Any) -> str:
        body = {"dag_run_id": name, "logical_date": None, "conf": conf}
        self.api.post(f"/dags/{DAG}/dagRuns", body)
        return name

    def wait(self, name: str, *, seconds: float = RUN_SECS) -> str:
        """The DAG run's final state."""
        return str(
            self.until(
                lambda: self._ended(name),
                f"the end of {name}",
                seconds=seconds,
            )
        )

    def _ended(self, name: str) -> str:
        run = patiently(lambda: self.api.get(f"/dags/{DAG}/dagRuns/{quote(name, safe='')}"))
        return run["state"] if run["state"] in {"success", "failed"} else ""

    def until(self, question: Callable[[], Any], what: str, *, seconds: float = 120.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (answer := question()):
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
            time.sleep(0.5)
        return answer

    def outcomes(self, name: str, day: str) -> dict[str, Outcome]:
        return read_outcomes(self.settings, PIPELINE, run_id(day, name))

    def outcome_file(self, name: str, day: str, node: str) -> Path:
        return outcome_path(self.settings, PIPELINE, run_id(day, name), node)

    def result(self, name: str, day: str, state: str) -> Any:
        from infra.demo_summary import read_day

        return read_day(self.settings, PIPELINE, day=day, run_id=run_id(day, name), airflow_state=state)

    def task_states(self, name: str) -> dict[str, str]:
        path = f"/dags/{DAG}/dagRuns/{quote(name, safe='')}/taskInstances"
        return {task["task_id"].rpartition(".")[2]: task["state"] for task in self.api.get(path)["task_instances"]}

    def task_tries(self, name: str) -> dict[str, int]:
        path = f"/dags/{DAG}/dagRuns/{quote(name, safe='')}/taskInstances"
        return {task["task_id"].rpartition(".")[2]: task["try_number"] for task in self.api.get(path)["task_instances"]}


@pytest.fixture(scope="session")
def shop() -> Iterator[Shop]:
    folder = reachable_folder()
    installation = Installation.in_folder(folder / "state", without=())
    try:
        installation.up()
        secrets = installation.services.secrets
        with AirflowApi(
            installation.configuration.airflow_url, user=AIRFLOW_USER, password=secrets.airflow_password
        ) as api:
            made = Shop(installation, api)
            for command in (
                ("pipelines.shop.simulator", "--days", "4", "--start", "2026-01-05", "--rows", str(ROWS)),
                ("pipelines.compile", PIPELINE, *PROMOTED_AT_ONCE),
            ):
                done = made.ml(*command)
                assert done.returncode == 0, done.stderr[-2000:]
            Retrains(api, settings=installation.settings, report=installation.said.append).wait_for_dag()
            yield made
    finally:
        installation.down()
        shutil.rmtree(folder, ignore_errors=True)
