"""The DAGs of a pipeline whose spec has `rollout`: ticks, approvals, and what a person does by hand.

    [dag.dag_id for dag in rollout_dags(manifest)]
    # daybreak_shop_rollout, daybreak_shop_approval, daybreak_shop_rollout_action

An approval waits in a DAG of its own, so that ticks go on: one at a time, each ends at once.
"""

from __future__ import annotations

import datetime
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, DeltaTriggerTimetable, Param

from dags.command_operator import ONLY_WHEN_IT_HELPS
from dags.rollout_docs import ACTION_PAGE, APPROVAL_PAGE, rollout_page
from dags.rollout_form import ABORT, AFTER_DAY, APPROVE, REASON, action_form, tick_form
from dags.rollout_operator import APPROVAL, ASK, ActionOperator, AnswerOperator, TickOperator
from pipelines.manifest import Manifest
from pipelines.spec import Rollout

FIRST_TICK = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
TICK_TIMEOUT = datetime.timedelta(minutes=30)
"""The snapshot of a large log takes minutes."""
RETRY_DELAY = datetime.timedelta(seconds=10)
START = "start_rollout"
_APPROVAL = f"ti.xcom_pull(task_ids='tick')['{APPROVAL}']"
_FACTS = """\
{% for name, value in dag_run.conf.facts.items() %}- **{{ name }}**: {{ value }}
{% endfor %}
Its gates said: {{ dag_run.conf.reason }}

*Approve* lets the first users meet it. *Abort* ends the rollout; the champion stays. The answer is an event with your name.
"""


def rollout_dags(manifest: Manifest) -> list[DAG]:
    """None for a pipeline without `rollout`."""
    declared = (manifest.spec or {}).get("rollout")
    if not declared:
        return []
    terms = Rollout.model_validate(declared)
    return [_ticks(manifest, terms), _approvals(manifest), _actions(manifest)]


def _ticks(manifest: Manifest, terms: Rollout) -> DAG:
    every = DeltaTriggerTimetable(datetime.timedelta(seconds=terms.tick_secs))
    dag = _dag(
        manifest,
        "rollout",
        doc_md=rollout_page(manifest, terms),
        # The clock of a simulated pipeline is not Airflow's: whoever simulates triggers its ticks, with `now`.
        schedule=None if manifest.simulated else every,
        start_date=FIRST_TICK,
        catchup=False,
        max_active_runs=1,
        params=tick_form(),
        description=f"Live traffic for candidates of {manifest.pipeline}, a tick at a time",
    )
    tick = TickOperator(
        task_id="tick",
        dag=dag,
        pipeline=manifest.pipeline,
        simulated=manifest.simulated,
        execution_timeout=TICK_TIMEOUT,
        doc_md="Measures, decides, carries out, and writes what gateways and MLflow show. The next tick makes up for one that failed.",
    )
    ask = TriggerDagRunOperator(
        task_id=ASK,
        dag=dag,
        trigger_dag_id=_id(manifest, "approval"),
        trigger_run_id="{{ " + _APPROVAL + "['rollout'] }}",
        conf="{{ " + _APPROVAL + " | tojson }}",  # type: ignore[arg-type]  # a template of JSON
        logical_date=None,
        skip_when_already_exists=True,
        openlineage_inject_parent_info=False,
        doc_md="Asks for somebody's approval, once for each rollout.",
    )
    tick >> ask
    return dag


def start_rollout(dag: DAG, manifest: Manifest) -> TriggerDagRunOperator:
    """The last task of a retrain: a tick at once, which starts what `register` queued.

    Not by its asset: events of a run with a partition, as every nightly one is, reach partitioned DAGs only.
    """
    day = "{{ ti.xcom_pull(task_ids='register')['day'] }}"
    return TriggerDagRunOperator(
        task_id=START,
        dag=dag,
        trigger_dag_id=_id(manifest, "rollout"),
        conf={AFTER_DAY: day} if manifest.simulated else None,
        logical_date=None,
        openlineage_inject_parent_info=False,
        retries=2,
        retry_delay=RETRY_DELAY,
        doc_md="A tick of the rollout at once, which starts what was queued.",
    )


def _approvals(manifest: Manifest) -> DAG:
    dag = _dag(manifest, "approval", doc_md=APPROVAL_PAGE, schedule=None, max_active_runs=16)
    approve = HITLOperator(
        task_id="approve",
        dag=dag,
        subject="May users of {{ dag_run.conf.model }} meet version {{ dag_run.conf.challenger }}?",
        body=_FACTS,
        options=[APPROVE, ABORT],
        params={REASON: Param("", type="string", maxLength=500, title="Reason", description="Kept in the events.")},
    )
    carry_out = AnswerOperator(task_id="carry_out", dag=dag, **_persistent(manifest))
    approve >> carry_out
    return dag


def _actions(manifest: Manifest) -> DAG:
    dag = _dag(manifest, "rollout_action", doc_md=ACTION_PAGE, schedule=None, max_active_runs=16, params=action_form())
    ActionOperator(task_id="act", dag=dag, **_persistent(manifest))
    return dag


def _persistent(manifest: Manifest) -> dict[str, Any]:
    """A person waits: what failed for now is tried again."""
    return {
        "pipeline": manifest.pipeline,
        "simulated": manifest.simulated,
        "execution_timeout": TICK_TIMEOUT,
        "retries": 3,
        "retry_delay": RETRY_DELAY,
        "retry_policy": ONLY_WHEN_IT_HELPS,
    }


def _dag(manifest: Manifest, suffix: str, **changes: Any) -> DAG:
    simulated = ["simulated"] if manifest.simulated else []
    return DAG(
        _id(manifest, suffix),
        tags=["daybreak", "rollout", manifest.pipeline, *simulated],
        default_args={"owner": manifest.owner},
        is_paused_upon_creation=False,  # without ticks gateways give up a rollout after `ttl_secs`
        auto_register=False,
        **changes,
    )


def _id(manifest: Manifest, suffix: str) -> str:
    return f"daybreak_{manifest.pipeline}_{suffix}"
