"""The DAG file: the daily retrain, and the rollout, of every manifest that `daybreak compile` wrote."""

from __future__ import annotations

from dags.factory import read_dags
from pipelines.settings import Settings

# Airflow finds DAGs among a module's globals. A broken manifest must not hide the others, so it is reported by
# broken_manifests.py: an import error takes down every DAG of the file it comes from.
globals().update({dag.dag_id: dag for dag in read_dags(Settings.from_environment()).dags})
