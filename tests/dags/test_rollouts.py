"""The rollout DAGs: which there are, how they are scheduled, and what a person's form becomes."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from dags.command_operator import NodeFailedForNow
from dags.factory import retrain_dag
from dags.links import rollouts_page
from dags.rollout_form import action_of, answer_of, clock_arguments
from dags.rollouts import rollout_dags
from pipelines.errors import SpecError
from pipelines.manifest import Manifest
from pipelines.settings import Settings
from tests.dags.conftest import sample_manifest

TERMS = {"unit": "user_id", "approval": True, "tick_secs": 120}


def declared(**changes: Any) -> Manifest:
    return sample_manifest(spec={"name": "shop", "rollout": TERMS}, **changes)


def test_only_pipelines_with_a_rollout_have_its_dags(manifest: Manifest):
    assert rollout_dags(manifest) == []
    assert [dag.dag_id for dag in rollout_dags(declared())] == [
        "daybreak_shop_rollout",
        "daybreak_shop_approval",
        "daybreak_shop_rollout_action",
    ]


def test_airflow_can_store_them():
    for dag in rollout_dags(declared(simulated=False)):
        stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert set(stored.task_dict) == set(dag.task_dict)


def test_ticks_run_by_the_clock_one_at_a_time_and_only_of_pipelines_whose_clock_it_is():
    ticks, *_ = rollout_dags(declared(simulated=False))
    assert ticks.timetable.delta == datetime.timedelta(seconds=120)
    assert (ticks.max_active_runs, ticks.catchup, ticks.is_paused_upon_creation) == (1, False, False)
    simulated, *_ = rollout_dags(declared(simulated=True))
    assert not simulated.timetable.can_be_scheduled
    assert "simulated" in simulated.tags


def test_an_approval_waits_elsewhere_once_for_each_rollout():
    ticks, approvals, _ = rollout_dags(declared())
    ask = ticks.task_dict["ask_approval"]
    assert ask.upstream_task_ids == {"tick"}
    assert (ask.trigger_dag_id, ask.skip_when_already_exists) == (approvals.dag_id, True)
    assert "['rollout']" in str(ask.trigger_run_id)
    assert approvals.max_active_runs > 1
    assert approvals.task_dict["approve"].options == ["Approve", "Abort"]


def test_the_retrain_starts_a_tick_after_register(manifest: Manifest):
    dag = retrain_dag(declared(), Path("/manifests/shop.json"))
    start = dag.task_dict["start_rollout"]
    assert start.upstream_task_ids == {"register"}
    assert start.trigger_dag_id == "daybreak_shop_rollout"
    assert "start_rollout" not in dag.task_dict["conclude"].upstream_task_ids
    assert "start_rollout" not in retrain_dag(manifest, Path("/manifests/shop.json")).task_dict


def test_an_action_needs_reason_and_user():
    form = {"action": "abort", "reason": "  revenue\nfell ", "rollout": "shop-1-a"}
    assert action_of(form, user="ann").arguments() == [
        "abort", "--actor=ann", "--reason=revenue fell", "--rollout=shop-1-a",
    ]  # fmt: skip
    with pytest.raises(SpecError, match="a user and a reason"):
        action_of(form | {"reason": " "}, user="ann")
    with pytest.raises(SpecError, match="a user and a reason"):
        action_of(form, user="")


@pytest.mark.parametrize(("chosen", "command"), [("Approve", "approve"), ("Abort", "abort")])
def test_an_answer_names_who_gave_it(chosen: str, command: str):
    answer = {
        "chosen_options": [chosen],
        "params_input": {"reason": "looks fine"},
        "responded_by_user": {"id": "7", "name": "ann"},
    }
    action = answer_of(answer, rollout="shop-1-a")
    assert (action.name, action.actor, action.reason, action.rollout) == (command, "ann", "looks fine", "shop-1-a")
    assert answer_of(answer | {"params_input": {}}, rollout="r").reason == f"{chosen} in Airflow"


def test_a_simulated_clock_never_becomes_todays():
    assert clock_arguments({"now": "2026-01-05T18:00:00Z"}, simulated=True) == ["--now", "2026-01-05T18:00:00Z"]
    assert clock_arguments({"after_day": "2026-01-05"}, simulated=True) == [
        "--now", "latest", "--at-least=2026-01-06T00:00:00Z",
    ]  # fmt: skip
    assert clock_arguments({}, simulated=True) == ["--now", "latest"]
    assert clock_arguments({}, simulated=False) == []


def test_the_page_is_where_the_gateway_is(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DAYBREAK_GATEWAY_URL", raising=False)
    monkeypatch.setenv("DAYBREAK_GATEWAY_PORT", "8612")
    assert rollouts_page(settings, "shop-1-a") == "http://127.0.0.1:8612/rollouts/shop-1-a"
    monkeypatch.setenv("DAYBREAK_GATEWAY_URL", "https://gateway.example/")
    assert rollouts_page(settings) == "https://gateway.example/rollouts"


def test_a_failure_that_may_pass_is_one_for_now():
    ticks, *_ = rollout_dags(declared())
    tick = ticks.task_dict["tick"]
    tick.report = {"problems": ["MLflow does not show it yet"]}
    with pytest.raises(NodeFailedForNow, match="MLflow does not show it yet"):
        tick._fail(75)
