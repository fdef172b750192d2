from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dags.conclusion import conclude_when_stopped
from dags.runs import EVENTS_FILE, record_event, run_id
from pipelines.manifest import Manifest
from pipelines.outcome import run_folder
from pipelines.settings import Settings

RUN = run_id("shop", day=datetime.date(2026, 1, 5), airflow_run_id="manual__1")


@pytest.fixture
def callback(manifest: Manifest, manifest_path: Path) -> Callable[[dict[str, Any]], None]:
    return conclude_when_stopped(manifest, str(manifest_path))


def test_a_run_stopped_by_its_budget_is_concluded(settings: Settings, callback, started):
    record_event(settings, pipeline="shop", run=RUN, event={"event": "earlier"})
    callback({"reason": "timed_out", "run_id": "manual__1"})
    (command,) = started()
    assert command["node"] == "conclude"
    assert command["argv"][command["argv"].index("--run-id") + 1] == RUN
    assert command["argv"][command["argv"].index("--day") + 1] == "2026-01-05"
    assert "24 hours" in command["argv"][command["argv"].index("--reason") + 1]
    folder = run_folder(settings, "shop", RUN)
    assert "hello from conclude" in (folder / "conclude.log").read_text()
    assert json.loads((folder / EVENTS_FILE).read_text().splitlines()[-1])["event"] == "stopped"


def test_any_other_failure_is_left_to_the_task(settings: Settings, callback, started):
    record_event(settings, pipeline="shop", run=RUN, event={"event": "earlier"})
    callback({"reason": "task_failure", "run_id": "manual__1"})
    assert started() == []


def test_a_run_in_which_nothing_started_has_nothing_to_conclude(callback, started):
    callback({"reason": "timed_out", "run_id": "manual__1"})
    assert started() == []
