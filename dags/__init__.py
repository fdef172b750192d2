"""Airflow's side: one retrain DAG per manifest, whose tasks run nodes in the ML environment.

Airflow parses `retrain.py` and `broken_manifests.py` (see .airflowignore); the other modules are imported as `dags.…`
and need Airflow, pydantic and the standard library only.
"""
