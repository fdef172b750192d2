from __future__ import annotations

from pathlib import Path

from infra.services import airflow
from infra.services.programs import base_environment
from pipelines.settings import Settings


def _environment(tmp_path: Path, *, cores: int = 2) -> dict[str, str]:
    return airflow.airflow_environment(
        settings=Settings(home=tmp_path, state=tmp_path / "state"),
        database_url="postgresql+psycopg2://user:100%25@/airflow",
        port=18080,
        fernet_key="fernet",
        jwt_secret="jwt",
        api_secret="api",
        cores=cores,
    )


def test_everything_listens_on_loopback(tmp_path: Path) -> None:
    environ = _environment(tmp_path)
    assert environ["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environ["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:18080"
    assert environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:18080/execution/"
    for name in ("scheduler", "triggerer"):
        assert "--skip-serve-logs" in airflow.ARGUMENTS[name], "its log server would listen on every interface"


def test_everything_is_written_below_the_state_folder(tmp_path: Path) -> None:
    paths = {value for value in _environment(tmp_path).values() if value.startswith("/")}
    assert str(tmp_path / "dags") in paths
    written = {path for path in paths if path not in (str(tmp_path / "dags"), str(tmp_path))}
    assert written
    assert all(path.startswith(str(tmp_path / "state")) for path in written)


def test_tasks_are_limited_by_cores(tmp_path: Path) -> None:
    assert _environment(tmp_path, cores=2)["AIRFLOW__CORE__PARALLELISM"] == "4"
    assert _environment(tmp_path, cores=16)["AIRFLOW__CORE__PARALLELISM"] == "18"
    assert _environment(tmp_path, cores=16)["DAYBREAK_POOL_SLOTS"] == "16"


def test_the_shell_of_the_user_cannot_lead_a_service_astray(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, state=tmp_path / "state")
    shell = {
        "PATH": "/usr/bin",
        "AIRFLOW_HOME": "/other",
        "AIRFLOW__API__HOST": "0.0.0.0",
        "MLFLOW_TRACKING_URI": "http://other",
        "PGHOST": "other",
        "PYTHONPATH": "/other",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DAYBREAK_SERVICE": "worker",
        "DAYBREAK_STATE": "/other",
        "TMPDIR": "/other",
        "no_proxy": "example.com",
        "TAXI_DATA": "/data",
    }
    environ = base_environment(settings, shell)
    assert environ == {
        "PATH": "/usr/bin",
        "TAXI_DATA": "/data",
        "DAYBREAK_HOME": str(tmp_path),
        "DAYBREAK_STATE": str(tmp_path / "state"),
        "TMPDIR": str(tmp_path / "state" / "tmp"),
        "DAYBREAK_SERVICES": str(tmp_path / "state"),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "example.com,127.0.0.1,localhost",
        "no_proxy": "example.com,127.0.0.1,localhost",
        "SPT_NOENV": "1",
    }
