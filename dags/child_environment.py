"""The environment a node gets: the task's own without what belongs to Airflow.

Airflow's variables hold the database URL, the JWT secret and the Fernet key; user code runs in the node.
"""

from __future__ import annotations

from collections.abc import Mapping

_AIRFLOW = ("AIRFLOW", "_AIRFLOW", "__AIRFLOW")
_INTERPRETER = ("PYTHONHOME", "VIRTUAL_ENV", "__PYVENV")
"""Of this environment; the node has its own interpreter. PYTHONPATH stays: a pipeline may live outside this project."""


def child_environment(environ: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """`environ` without Airflow's and this interpreter's variables, with `extra` on top."""
    kept = {name: value for name, value in environ.items() if not name.startswith((*_AIRFLOW, *_INTERPRETER))}
    return {**kept, **extra}
