"""How long a node waited: from the moment Airflow queued its task to the moment its own code ran.

    starts = node_starts(settings, pipeline="taxi", airflow_run_id=run)
    statistics.median(start.secs for start in starts)

Needs neither Airflow nor TensorFlow, so that a benchmark can call it from any environment.
"""

from __future__ import annotations

import datetime
import json
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dags.runs import find_run
from pipelines.errors import DataError, TransientError
from pipelines.outcome import Outcome, read_outcomes
from pipelines.settings import Settings

TIMEOUT_SECS = 30.0


@dataclass(frozen=True)
class NodeStart:
    node: str
    queued: float
    """Seconds since 1970, UTC: Airflow put the task into its queue."""
    started: float
    """Seconds since 1970, UTC: the node runner began with the node."""

    @property
    def secs(self) -> float:
        return self.started - self.queued


def node_starts(settings: Settings, *, pipeline: str, airflow_run_id: str) -> list[NodeStart]:
    """Asks Airflow's API, at the address and with the credentials of `services.json`."""
    found = find_run(settings, pipeline, airflow_run_id=airflow_run_id)
    if found is None:
        raise DataError(
            f"no node of {pipeline} has run in Airflow's run {airflow_run_id!r}",
            fix=f"look into {settings.runs / pipeline}, or wait for the first node",
        )
    run = urllib.parse.quote(airflow_run_id, safe="")
    path = f"/api/v2/dags/daybreak_{pipeline}/dagRuns/{run}/taskInstances?limit=1000"
    tasks = _get(settings.services["airflow"], path)["task_instances"]
    return starts_of(tasks, read_outcomes(settings, pipeline, found[0]))


def starts_of(tasks: Iterable[Mapping[str, Any]], outcomes: Mapping[str, Outcome]) -> list[NodeStart]:
    """Of the tasks that were queued and whose node has an outcome, in the order of their queueing."""
    starts = [
        NodeStart(
            node=task["task_id"],
            queued=datetime.datetime.fromisoformat(task["queued_when"]).timestamp(),
            started=outcomes[task["task_id"]].started,
        )
        for task in tasks
        if task.get("queued_when") and task["task_id"] in outcomes
    ]
    return sorted(starts, key=lambda start: start.queued)


def _get(airflow: Mapping[str, Any], path: str) -> dict[str, Any]:
    credentials = {"username": airflow["user"], "password": airflow["password"]}
    token = _ask(f"{airflow['url']}/auth/token", body=credentials)["access_token"]
    return _ask(f"{airflow['url']}{path}", token=token)


def _ask(url: str, *, body: Mapping[str, str] | None = None, token: str = "") -> dict[str, Any]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = json.dumps(body).encode() if body is not None else None
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, data=data, headers=headers), timeout=TIMEOUT_SECS
        ) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except OSError as error:
        raise TransientError(f"Airflow did not answer at {url}: {error}", fix="run `daybreak status`") from error
