"""The stable id of a retrain, and the way back from an Airflow run to it.

    run_id("shop", day=date(2026, 1, 5), airflow_run_id="scheduled__…")   # shop-2026-01-05-1f0c9a3e
    find_run(settings, "shop", airflow_run_id="scheduled__…")             # (that id, "2026-01-05")

Retries and cleared tasks keep the id, so that lineage, tracking and checkpoints resume.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from typing import Any

from pipelines.outcome import run_folder
from pipelines.settings import Settings

EVENTS_FILE = "events.jsonl"
"""In the run folder: what happened to the run as a whole (deadlines, a stop by timeout), one JSON object per line."""


def run_id(pipeline: str, *, day: datetime.date, airflow_run_id: str) -> str:
    return f"{pipeline}-{day.isoformat()}-{_digest(airflow_run_id)}"


def find_run(settings: Settings, pipeline: str, *, airflow_run_id: str) -> tuple[str, str] | None:
    """Run id and ISO day of a run that has started a node; none before that."""
    for folder in sorted((settings.runs / pipeline).glob(f"{pipeline}-*-{_digest(airflow_run_id)}")):
        return folder.name, folder.name.removeprefix(f"{pipeline}-")[: len("2026-01-05")]
    return None


def record_event(settings: Settings, *, pipeline: str, run: str, event: dict[str, Any]) -> None:
    """Appends one line with the time; a line this short reaches the file in one write."""
    folder = run_folder(settings, pipeline, run)
    folder.mkdir(parents=True, exist_ok=True)
    line = {"time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), **event}
    with (folder / EVENTS_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, sort_keys=True) + "\n")


def _digest(airflow_run_id: str) -> str:
    return hashlib.sha256(airflow_run_id.encode()).hexdigest()[:8]
