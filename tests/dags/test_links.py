from __future__ import annotations

from types import SimpleNamespace

import pytest

from dags.links import ReportsLink, TrackingLink, artifacts_page
from dags.node_operator import NodeOperator
from pipelines.outcome import Outcome, State

URL = "http://127.0.0.1:5000/#/experiments/1/runs/ab?workflowType=machine_learning"


def test_links_of_a_node_that_was_tracked():
    outcome = Outcome(
        pipeline="shop",
        run_id="r",
        node="train",
        day="2026-01-05",
        state=State.COMPLETE,
        started=1,
        ended=2,
        tracking_url=URL,
    )
    task = SimpleNamespace(outcome=outcome)
    assert TrackingLink().get_link(task, ti_key=None) == URL
    assert ReportsLink().get_link(task, ti_key=None) == URL.replace("ab?", "ab/artifacts?")


@pytest.mark.parametrize("task", [SimpleNamespace(), SimpleNamespace(outcome=None)])
def test_no_link_without_an_outcome(task: SimpleNamespace):
    assert TrackingLink().get_link(task, ti_key=None) == ReportsLink().get_link(task, ti_key=None) == ""


def test_a_url_without_query():
    assert artifacts_page("http://h/#/runs/ab/") == "http://h/#/runs/ab/artifacts"


def test_the_operator_has_them():
    assert [link.name for link in NodeOperator.operator_extra_links] == ["MLflow run", "Reports"]
