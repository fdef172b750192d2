"""A DAG file without DAGs: its import error, shown on Airflow's home page, names every manifest that is broken."""

from __future__ import annotations

from dags.factory import read_dags
from pipelines.settings import Settings

if problems := read_dags(Settings.from_environment()).problems:
    raise ImportError("\n".join(problems))
