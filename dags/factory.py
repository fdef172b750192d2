"""From manifests to DAGs.

    declared = read_dags(Settings.from_environment())
    [dag.dag_id for dag in declared.dags], declared.problems

Parsing reads JSON only: no TensorFlow, TFX, Beam, MLflow, pandas or NumPy is imported by a DAG file.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path

from airflow.sdk import DAG, Asset, TaskGroup

from dags.command_operator import ONLY_WHEN_IT_HELPS
from dags.conclusion import TASK_ID as CONCLUDE
from dags.conclusion import conclude_when_stopped
from dags.deadlines import deadlines
from dags.docs import dag_page
from dags.node_operator import NodeOperator
from dags.parameters import trigger_form
from dags.predictions import prediction_dag
from dags.rollouts import rollout_dags, start_rollout
from dags.timetable import first_firing_day, timetable_of
from pipelines.errors import DaybreakError, SpecError
from pipelines.manifest import Manifest, Node, read_manifest
from pipelines.settings import Settings

POOL = "daybreak"
RETRY_DELAY = datetime.timedelta(seconds=10)
MAX_RETRY_DELAY = datetime.timedelta(minutes=10)
CONCLUDE_TIMEOUT = datetime.timedelta(minutes=15)


@dataclass(frozen=True)
class DeclaredDags:
    dags: tuple[DAG, ...]
    problems: tuple[str, ...]
    """One message per manifest that makes no DAG."""


def read_dags(settings: Settings) -> DeclaredDags:
    """Builds a DAG of every manifest; one that is broken is told about and keeps no other from loading."""
    dags: list[DAG] = []
    problems: list[str] = []
    for path in sorted(settings.manifests.glob("*.json")):
        if path.name.endswith(".ir.json"):
            continue
        try:
            manifest = read_manifest(path)
            dags += [retrain_dag(manifest, path), prediction_dag(manifest), *rollout_dags(manifest)]
        except DaybreakError as error:
            problems.append(f"{path.stem}: {error}")
        except Exception as error:  # noqa: BLE001 - whatever Airflow finds wrong with one DAG
            problems.append(f"{path.stem}: {type(error).__name__}: {error}\n  Fix: run `daybreak compile {path.stem}`")
    return DeclaredDags(dags=tuple(dags), problems=tuple(problems))


def retrain_dag(manifest: Manifest, path: Path) -> DAG:
    """The daily retrain of one pipeline, id `daybreak_<pipeline>`."""
    schedule = manifest.schedule
    scheduled = schedule is not None and schedule.enabled
    dag = DAG(
        f"daybreak_{manifest.pipeline}",
        description=manifest.description or None,
        doc_md=dag_page(manifest),
        tags=["daybreak", "retrain", manifest.pipeline, *(["simulated"] if manifest.simulated else [])],
        schedule=timetable_of(schedule) if schedule and scheduled else None,
        start_date=first_firing_day(schedule) if schedule else None,
        catchup=bool(schedule and scheduled and schedule.catchup),
        max_active_runs=1,  # a day is compared with the champion that the day before left
        dagrun_timeout=datetime.timedelta(hours=manifest.budget.hours),
        deadline=deadlines(manifest),
        on_failure_callback=conclude_when_stopped(manifest, str(path)),
        params=trigger_form(),
        default_args={"owner": manifest.owner},
        is_paused_upon_creation=True,
        auto_register=False,  # broken_manifests.py builds them too, to see whether they can be built
    )
    _add_tasks(dag, manifest, path)
    dag.check_cycle()
    return dag


def _add_tasks(dag: DAG, manifest: Manifest, path: Path) -> None:
    ids = {node.id for node in manifest.nodes}
    if CONCLUDE in ids:
        raise SpecError(
            f"no node may be called `{CONCLUDE}`, the task that ends every run. Received: node={CONCLUDE!r}",
            fix="rename the node",
            place=manifest.pipeline,
        )
    groups = {stage: _group(dag, stage, taken=ids) for stage in dict.fromkeys(node.stage for node in manifest.nodes)}
    tasks = {node.id: _node_task(dag, groups[node.stage], manifest, node, path) for node in manifest.nodes}
    for node in manifest.nodes:
        for upstream in node.upstream:
            tasks[upstream] >> tasks[node.id]
    conclude = _conclude_task(dag, manifest, path)
    for task in tasks.values():
        task >> conclude
    if "register" in tasks and (manifest.spec or {}).get("rollout"):
        tasks["register"] >> start_rollout(dag, manifest)


def _group(dag: DAG, stage: str, *, taken: set[str]) -> TaskGroup | None:
    """Task ids are node ids, so that a group with a node's name gets another one."""
    if not stage:
        return None
    return TaskGroup(stage if stage not in taken else f"{stage}_stage", dag=dag, prefix_group_id=False)


def _node_task(dag: DAG, group: TaskGroup | None, manifest: Manifest, node: Node, path: Path) -> NodeOperator:
    candidate = [Asset(f"daybreak/{manifest.pipeline}/candidate")] if node.id == "register" else []
    return NodeOperator(
        task_id=node.id,
        dag=dag,
        task_group=group,
        pipeline=manifest.pipeline,
        manifest_path=str(path),
        node=node.id,
        timezone=_timezone(manifest),
        has_spec=manifest.spec is not None,
        doc_md=node.description or None,
        pool=POOL,
        pool_slots=min(node.slots, _pool_size()),
        execution_timeout=datetime.timedelta(seconds=node.timeout_secs),
        retries=manifest.budget.retries,
        retry_delay=RETRY_DELAY,
        retry_exponential_backoff=2,
        max_retry_delay=MAX_RETRY_DELAY,
        retry_policy=ONLY_WHEN_IT_HELPS,
        outlets=candidate,
    )


def _conclude_task(dag: DAG, manifest: Manifest, path: Path) -> NodeOperator:
    task = NodeOperator(
        task_id=CONCLUDE,
        dag=dag,
        pipeline=manifest.pipeline,
        manifest_path=str(path),
        node=None,
        timezone=_timezone(manifest),
        doc_md="Writes the decision record: what was decided about the day, and why. Runs whatever happened before it.",
        execution_timeout=CONCLUDE_TIMEOUT,
        retries=2,
        retry_delay=RETRY_DELAY,
    )
    task.as_teardown(on_failure_fail_dagrun=False)
    return task


def _timezone(manifest: Manifest) -> str:
    return manifest.schedule.timezone if manifest.schedule else "UTC"


def _pool_size() -> int:
    """A task that wants more slots than its pool has would wait forever."""
    return int(os.environ.get("DAYBREAK_POOL_SLOTS") or os.cpu_count() or 1)
