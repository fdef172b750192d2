"""The 24-hour budget, as seen by Airflow: two named alerts, then the hard stop.

    DAG(..., deadline=deadlines(manifest), dagrun_timeout=timedelta(hours=manifest.budget.hours))

Alerts are counted from when the run was queued; the logical date of a partitioned run is null, and a deadline on it
would silently never fire.
"""

from __future__ import annotations

import datetime
import logging
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from dags.parameters import RunParameters
from dags.runs import find_run, record_event, run_id
from pipelines.manifest import Manifest
from pipelines.outcome import read_outcomes
from pipelines.settings import Settings

log = logging.getLogger(__name__)


def deadlines(manifest: Manifest) -> list[DeadlineAlert]:
    """`warn` at `budget.warn_hours`, `end` at `budget.hours`."""
    budget = manifest.budget
    return [_alert(manifest, "warn", hours=budget.warn_after_hours), _alert(manifest, "end", hours=budget.hours)]


def record_deadline(
    *, pipeline: str, alert: str, hours: float, nodes: list[str], timezone: str, context: dict[str, Any]
) -> None:
    """Writes what the run has and has not done into its folder and the log. Airflow runs it in the executor."""
    settings = Settings.from_environment()
    run = _run_of(settings, pipeline=pipeline, dag_run=context["dag_run"], timezone=timezone)
    done = read_outcomes(settings, pipeline, run)
    event = {
        "event": "deadline",
        "alert": alert,
        "hours": hours,
        "airflow_run": context["dag_run"]["dag_run_id"],
        "ended": {node: outcome.state.value for node, outcome in done.items()},
        "not_ended": [node for node in nodes if node not in done],
    }
    record_event(settings, pipeline=pipeline, run=run, event=event)
    log.warning("%s: deadline `%s` after %g h; not ended: %s", run, alert, hours, ", ".join(event["not_ended"]) or "-")


def _alert(manifest: Manifest, alert: str, *, hours: float) -> DeadlineAlert:
    return DeadlineAlert(
        name=f"{manifest.pipeline}: {alert}",
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=datetime.timedelta(hours=hours),
        callback=SyncCallback(
            record_deadline,
            kwargs={
                "pipeline": manifest.pipeline,
                "alert": alert,
                "hours": hours,
                "nodes": [node.id for node in manifest.nodes],
                "timezone": manifest.schedule.timezone if manifest.schedule else "UTC",
            },
        ),
    )


def _run_of(settings: Settings, *, pipeline: str, dag_run: dict[str, Any], timezone: str) -> str:
    found = find_run(settings, pipeline, airflow_run_id=dag_run["dag_run_id"])
    if found:
        return found[0]
    parameters = RunParameters.read(
        dag_run.get("conf") or {},
        partition_key=dag_run.get("partition_key"),
        run_after=datetime.datetime.fromisoformat(dag_run["run_after"]),
        zone=ZoneInfo(timezone),
    )
    return run_id(pipeline, day=parameters.day, airflow_run_id=dag_run["dag_run_id"])
