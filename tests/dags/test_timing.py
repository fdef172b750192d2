from __future__ import annotations

import pytest

from dags.timing import node_starts, starts_of
from pipelines.errors import DataError
from pipelines.outcome import Outcome, State
from pipelines.settings import Settings


def outcome(node: str, *, started: float) -> Outcome:
    return Outcome(
        pipeline="shop",
        run_id="r",
        node=node,
        day="2026-01-05",
        state=State.COMPLETE,
        started=started,
        ended=started + 1,
    )


def test_seconds_from_queue_to_node():
    tasks = [
        {"task_id": "train", "queued_when": "1970-01-01T00:01:40Z"},
        {"task_id": "contract", "queued_when": "1970-01-01T00:00:10.500000Z"},
        {"task_id": "conclude", "queued_when": "1970-01-01T00:02:00Z"},
        {"task_id": "register", "queued_when": None},
    ]
    starts = starts_of(tasks, {"train": outcome("train", started=101.25), "contract": outcome("contract", started=11)})
    assert [(start.node, start.secs) for start in starts] == [("contract", 0.5), ("train", 1.25)]


def test_a_run_that_never_started_is_told(settings: Settings):
    with pytest.raises(DataError, match="no node of shop has run"):
        node_starts(settings, pipeline="shop", airflow_run_id="manual__1")
