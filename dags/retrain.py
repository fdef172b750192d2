"""The DAG file: one daily retrain per manifest that `daybreak compile` wrote."""

from __future__ import annotations

from dags.factory import read_retrains
from pipelines.settings import Settings

# Airflow finds DAGs among a module's globals. A broken manifest must not hide the others, so it is reported by
# broken_manifests.py: an import error takes down every DAG of the file it comes from.
globals().update({dag.dag_id: dag for dag in read_retrains(Settings.from_environment()).dags})
