from __future__ import annotations

import datetime
import json

from dags.runs import EVENTS_FILE, find_run, record_event, run_id
from pipelines.outcome import run_folder
from pipelines.settings import Settings

DAY = datetime.date(2026, 1, 5)


def test_a_run_keeps_its_id_and_another_run_of_the_day_has_another():
    first = run_id("shop", day=DAY, airflow_run_id="manual__1")
    assert first == run_id("shop", day=DAY, airflow_run_id="manual__1")
    assert first.startswith("shop-2026-01-05-")
    assert first != run_id("shop", day=DAY, airflow_run_id="manual__2")


def test_a_run_is_found_by_airflows_name_once_it_has_started(settings: Settings):
    assert find_run(settings, "shop", airflow_run_id="manual__1") is None
    run = run_id("shop", day=DAY, airflow_run_id="manual__1")
    record_event(settings, pipeline="shop", run=run, event={"event": "stopped"})
    record_event(settings, pipeline="shop", run=run, event={"event": "again"})
    assert find_run(settings, "shop", airflow_run_id="manual__1") == (run, "2026-01-05")
    lines = (run_folder(settings, "shop", run) / EVENTS_FILE).read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["stopped", "again"]
