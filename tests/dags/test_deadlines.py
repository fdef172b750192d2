from __future__ import annotations

import datetime
import json

from airflow.sdk import DeadlineReference

from dags.deadlines import deadlines, record_deadline
from dags.runs import EVENTS_FILE, run_id
from pipelines.manifest import Manifest
from pipelines.outcome import Outcome, State, run_folder, write_outcome
from pipelines.settings import Settings

RUN = run_id("shop", day=datetime.date(2026, 1, 5), airflow_run_id="manual__1")


def call(manifest: Manifest, **dag_run: object) -> None:
    """As Airflow does: the stored arguments, and the DAG run as its API shows it."""
    warn = deadlines(manifest)[0]
    run = {"dag_run_id": "manual__1", "conf": {}, "partition_key": None, "run_after": "2026-01-06T02:00:00Z"}
    record_deadline(**warn.callback.kwargs, context={"dag_run": {**run, **dag_run}})


def events(settings: Settings) -> list[dict]:
    return [json.loads(line) for line in (run_folder(settings, "shop", RUN) / EVENTS_FILE).read_text().splitlines()]


def test_two_named_alerts_count_from_the_queue(manifest: Manifest):
    warn, end = deadlines(manifest)
    assert (warn.name, warn.interval) == ("shop: warn", datetime.timedelta(hours=18))
    assert (end.name, end.interval) == ("shop: end", datetime.timedelta(hours=24))
    assert {alert.reference for alert in (warn, end)} == {DeadlineReference.DAGRUN_QUEUED_AT}
    assert warn.callback.path == "dags.deadlines.record_deadline"
    json.dumps(warn.callback.kwargs)  # Airflow stores them


def test_the_callback_tells_what_is_done_and_what_is_not(settings: Settings, manifest: Manifest):
    outcome = Outcome(
        pipeline="shop", run_id=RUN, node="contract", day="2026-01-05", state=State.CACHED, started=1, ended=2
    )
    write_outcome(settings, outcome)
    call(manifest)
    (event,) = events(settings)
    assert (event["event"], event["alert"], event["hours"]) == ("deadline", "warn", 18)
    assert event["ended"] == {"contract": "cached"}
    assert event["not_ended"][0] == "examples"
    assert len(event["not_ended"]) == len(manifest.nodes) - 1


def test_a_run_in_which_nothing_started_is_told_too(settings: Settings, manifest: Manifest):
    call(manifest, partition_key="2026-01-05")
    call(manifest, conf={"day": "2026-01-05"})
    call(manifest)
    assert [len(event["not_ended"]) for event in events(settings)] == [len(manifest.nodes)] * 3
