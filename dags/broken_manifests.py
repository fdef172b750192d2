"""A DAG file without DAGs: its import error, shown on Airflow's home page, names every manifest that is broken."""

from __future__ import annotations

from dags.factory import read_retrains
from pipelines.settings import Settings

if problems := read_retrains(Settings.from_environment()).problems:
    raise ImportError("\n".join(problems))
