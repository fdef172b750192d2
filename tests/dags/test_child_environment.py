from __future__ import annotations

from dags.child_environment import child_environment


def test_nothing_of_airflow_or_its_interpreter_reaches_the_node():
    environ = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://airflow:secret@/airflow",
        "AIRFLOW__API_AUTH__JWT_SECRET": "secret",
        "AIRFLOW_CONN_WAREHOUSE": "secret",
        "_AIRFLOW_PROCESS_CONTEXT": "client",
        "PYTHONHOME": "/orchestrator",
        "PYTHONPATH": "/company/pipelines",
        "VIRTUAL_ENV": "/orchestrator",
        "PATH": "/usr/bin",
        "DAYBREAK_STATE": "/state",
        "DAYBREAK_RUN_ID": "stale",
    }
    assert child_environment(environ, {"DAYBREAK_RUN_ID": "shop-1"}) == {
        "PYTHONPATH": "/company/pipelines",
        "PATH": "/usr/bin",
        "DAYBREAK_STATE": "/state",
        "DAYBREAK_RUN_ID": "shop-1",
    }
