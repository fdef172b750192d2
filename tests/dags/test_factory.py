from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from dags.command_operator import NodeFailedForNow
from dags.factory import POOL, read_dags, retrain_dag
from dags.node_operator import NodeOperator
from pipelines.errors import SpecError
from pipelines.manifest import Manifest, Node, write_manifest
from pipelines.settings import Settings
from pipelines.spec import Budget, Schedule
from tests.dags.conftest import EDGES, sample_manifest


@pytest.fixture
def dag(manifest: Manifest) -> DAG:
    return retrain_dag(manifest, Path("/manifests/shop.json"))


def test_edges_equal_the_manifest_and_everything_leads_to_conclude(dag: DAG):
    upstream = {task.task_id: set(task.upstream_task_ids) for task in dag.tasks}
    assert upstream.pop("conclude") == set(EDGES)
    assert upstream == {node: set(above) for node, (_, above) in EDGES.items()}


def test_task_groups_are_the_stages(dag: DAG):
    groups = {task.task_id: task.task_group.group_id for task in dag.tasks if task.task_group}
    assert groups == {**{node: stage for node, (stage, _) in EDGES.items()}, "conclude": None}


def test_tasks_carry_what_the_manifest_says(manifest: Manifest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAYBREAK_POOL_SLOTS", "8")
    nodes = (Node(id="a", stage="", slots=3, timeout_secs=60), Node(id="b", stage="", slots=99, upstream=("a",)))
    dag = retrain_dag(manifest.model_copy(update={"nodes": nodes}), Path("shop.json"))
    first, second = dag.task_dict["a"], dag.task_dict["b"]
    assert (first.pool, first.pool_slots, first.execution_timeout) == (POOL, 3, datetime.timedelta(seconds=60))
    assert second.pool_slots == 8, "more slots than the pool has would wait forever"


def test_retries_obey_the_budget_and_the_exit_code(manifest: Manifest):
    budget = Budget(hours=24, retries=5)
    task = retrain_dag(manifest.model_copy(update={"budget": budget}), Path("shop.json")).task_dict["train"]
    assert (task.retries, task.retry_exponential_backoff) == (5, 2)
    decision = task.retry_policy.evaluate(NodeFailedForNow("killed"), try_number=1, max_tries=5)
    assert decision.action.value == "retry"


def test_conclude_runs_whatever_happened_and_hides_no_failure(dag: DAG):
    conclude = dag.task_dict["conclude"]
    assert conclude.is_teardown
    assert not conclude.on_failure_fail_dagrun
    assert conclude.pool != POOL, "a day that fills the pool must still be concluded"


def test_schedule_budget_and_labels(dag: DAG):
    assert dag.dag_id == "daybreak_shop"
    assert dag.tags == {"daybreak", "retrain", "shop", "simulated"}
    assert dag.timetable.summary == "0 2 * * *, on the day before"
    assert dag.start_date == datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert dag.dagrun_timeout == datetime.timedelta(hours=24)
    assert {task.owner for task in dag.tasks} == {"shop-team"}


def test_only_pipelines_with_a_spec_have_all_parameters_of_the_form(manifest: Manifest):
    for spec in (None, {"name": "shop"}):
        dag = retrain_dag(manifest.model_copy(update={"spec": spec}), Path("shop.json"))
        assert dag.task_dict["train"].has_spec is (spec is not None)


def test_only_register_announces_a_candidate(dag: DAG):
    outlets = {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks if task.outlets}
    assert outlets == {"register": ["daybreak/shop/candidate"]}


@pytest.mark.parametrize("schedule", [None, Schedule(start=datetime.date(2026, 1, 1), enabled=False, catchup=True)])
def test_a_pipeline_without_schedule_runs_on_request(manifest: Manifest, schedule: Schedule | None):
    dag = retrain_dag(manifest.model_copy(update={"schedule": schedule}), Path("shop.json"))
    assert not dag.timetable.can_be_scheduled
    assert not dag.catchup


def test_airflow_can_store_it(dag: DAG):
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert set(stored.task_dict) == {*EDGES, "conclude"}
    assert stored.timetable.summary == dag.timetable.summary


def test_a_stage_may_have_the_name_of_a_node(manifest: Manifest):
    nodes = (Node(id="train", stage="train"), Node(id="push", stage="", upstream=("train",)))
    dag = retrain_dag(manifest.model_copy(update={"nodes": nodes}), Path("shop.json"))
    assert dag.task_dict["train"].task_group.group_id == "train_stage"
    assert dag.task_dict["push"].upstream_task_ids == {"train"}


def test_a_broken_manifest_keeps_no_other_from_loading(settings: Settings):
    for name in ("shop", "taxi"):
        write_manifest(sample_manifest(name), settings.manifests / f"{name}.json")
    hourly = Schedule(start=datetime.date(2026, 1, 1), cron="0 * * * *")
    write_manifest(sample_manifest("hourly", schedule=hourly), settings.manifests / "hourly.json")
    write_manifest(sample_manifest("taken", nodes=(Node(id="conclude", stage=""),)), settings.manifests / "taken.json")
    write_manifest(sample_manifest("spaced", nodes=(Node(id="a b", stage=""),)), settings.manifests / "spaced.json")
    (settings.manifests / "torn.json").write_text('{"pipeline": "torn", "no')
    (settings.manifests / "shop.ir.json").write_text("not a manifest, and none of our business")

    found = read_dags(settings)

    assert [dag.dag_id for dag in found.dags] == [
        "daybreak_shop",
        "daybreak_shop_predict",
        "daybreak_taxi",
        "daybreak_taxi_predict",
    ]
    problems = dict(problem.split(":", 1) for problem in found.problems)
    assert set(problems) == {"hourly", "taken", "spaced", "torn"}
    assert "at most once a day" in problems["hourly"]
    assert "no node may be called `conclude`" in problems["taken"]
    assert all("Fix: " in problem for problem in problems.values())


def test_no_manifest_at_all_is_no_problem(settings: Settings):
    assert read_dags(settings).dags == ()


def test_a_node_called_conclude_is_refused(manifest: Manifest):
    with pytest.raises(SpecError, match="rename the node"):
        retrain_dag(manifest.model_copy(update={"nodes": (Node(id="conclude", stage=""),)}), Path("shop.json"))


def test_every_task_is_a_node_operator(dag: DAG):
    assert {type(task) for task in dag.tasks} == {NodeOperator}
