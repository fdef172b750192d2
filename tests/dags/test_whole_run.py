"""A retrain from trigger to conclusion in Airflow's own code, with real node processes; SQLite is enough for that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from dags.factory import retrain_dag
from pipelines.manifest import Manifest
from tests.dags.conftest import EDGES

pytestmark = pytest.mark.slow

UPSTREAM_OF_NOTHING_REFUSED = {"contract", "schema", "champion"}


@pytest.fixture(scope="module")
def database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def run(database: None, manifest: Manifest, manifest_path: Path) -> Callable[..., Any]:
    """Runs the DAG in this process; returns the DAG run."""
    dag: DAG = retrain_dag(manifest, manifest_path)
    dag.deadline = None  # `dag.test` has no stored deadlines to resolve at the end of a good run, and stumbles

    def trigger(**form: Any) -> Any:
        return dag.test(run_conf={"day": "2026-01-05", **form})

    return trigger


def states(dag_run: Any) -> dict[str, str]:
    return {task.task_id: str(task.state) for task in dag_run.get_task_instances()}


def test_a_good_day(run, started):
    dag_run = run(rows_limit=5)
    assert dag_run.state == "success"
    assert set(states(dag_run).values()) == {"success"}
    order = [command["node"] for command in started()]
    assert set(order) == {*EDGES, "conclude"}
    assert all(order.index(above) < order.index(node) for node, (_, ups) in EDGES.items() for above in ups)
    assert order[-1] == "conclude"
    assert len({command["argv"][command["argv"].index("--run-id") + 1] for command in started()}) == 1


def test_a_refused_day_fails_the_run_and_is_concluded(run, script, started):
    script(contract={"exit": 10, "error": "too many bad rows"})
    dag_run = run()
    assert dag_run.state == "failed", "a good conclusion does not make a good day"
    found = states(dag_run)
    assert (found["contract"], found["examples"], found["register"]) == ("failed", "upstream_failed", "upstream_failed")
    assert found["conclude"] == "success"
    assert sorted(command["node"] for command in started()) == sorted([*UPSTREAM_OF_NOTHING_REFUSED, "conclude"])
    assert started()[-1]["node"] == "conclude", "after every node that could still run"


def test_a_conclusion_that_fails_does_not_hide_a_good_day(run, script):
    script(conclude={"exit": 70})
    dag_run = run()
    assert (dag_run.state, states(dag_run)["conclude"]) == ("success", "failed")


def test_what_a_task_hands_on_is_small(run, database):
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    dag_run = run()
    with create_session() as session:
        rows = session.query(XComModel).filter(XComModel.run_id == dag_run.run_id, XComModel.task_id == "train").all()
        values = {row.key: row.value for row in rows}
    assert set(values) == {"return_value", "_link_TrackingLink", "_link_ReportsLink"}
    assert values["_link_TrackingLink"].strip('"').startswith("http://127.0.0.1:5000/")
    assert len(json.dumps(values)) < 1000


def test_the_candidate_asset_says_which_run_made_it(run, database):
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session

    dag_run = run()
    with create_session() as session:
        (event,) = session.query(AssetEvent).filter(AssetEvent.source_run_id == dag_run.run_id).all()
        assert event.asset.name == "daybreak/shop/candidate"
        assert (event.extra["day"], event.extra["state"]) == ("2026-01-05", "complete")
