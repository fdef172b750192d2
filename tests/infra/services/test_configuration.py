from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.services.configuration import AIRFLOW_PORT, MLFLOW_PORT, Configuration
from infra.services.credentials import read_or_generate, read_services
from pipelines.errors import ResourceError, SpecError
from pipelines.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, state=tmp_path / "state")


def test_defaults(settings: Settings) -> None:
    configuration = Configuration.read(settings, environ={})
    assert (configuration.airflow_port, configuration.mlflow_port) == (AIRFLOW_PORT, MLFLOW_PORT)
    assert configuration.airflow_url == f"http://127.0.0.1:{AIRFLOW_PORT}"
    assert configuration.embedded_postgres


def test_a_flag_wins_over_the_environment_over_the_last_up(settings: Settings) -> None:
    read_or_generate(Configuration.read(settings, airflow_port=7001, environ={}))
    again = Settings(home=settings.home, state=settings.state)

    assert Configuration.read(again, environ={}).airflow_port == 7001
    environ = {"DAYBREAK_AIRFLOW_PORT": "7002"}
    assert Configuration.read(again, environ=environ).airflow_port == 7002
    assert Configuration.read(again, airflow_port=7003, environ=environ).airflow_port == 7003


def test_status_does_not_follow_the_environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    read_or_generate(Configuration.read(settings, mlflow_port=7001, environ={}))
    monkeypatch.setenv("DAYBREAK_MLFLOW_PORT", "7002")
    assert Configuration.of_last_up(Settings(home=settings.home, state=settings.state)).mlflow_port == 7001


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_what_is_no_port_is_refused_with_its_variable(settings: Settings, port: str) -> None:
    with pytest.raises(SpecError, match=rf"DAYBREAK_MLFLOW_PORT.*Received: .*{port}"):
        Configuration.read(settings, environ={"DAYBREAK_MLFLOW_PORT": port})


def test_two_services_on_one_port_are_refused(settings: Settings) -> None:
    with pytest.raises(SpecError, match="DAYBREAK_MLFLOW_PORT=7001"):
        Configuration.read(settings, airflow_port=7001, mlflow_port=7001, environ={})


def test_an_unknown_service_cannot_be_left_out(settings: Settings) -> None:
    with pytest.raises(SpecError, match="airflow, mlflow, worker. Received: postgres"):
        Configuration.read(settings, without=["postgres"], environ={})


def test_the_file_is_what_nodes_read(settings: Settings) -> None:
    configuration = Configuration.read(settings, environ={})
    services, created = read_or_generate(configuration)

    assert created
    document = json.loads(settings.services_file.read_text())
    assert document["database"]["names"] == {name: name for name in ("airflow", "mlflow", "mlmd", "daybreak")}
    assert document["database"]["password"] == services.secrets.postgres_password
    assert document["mlflow"]["url"] == configuration.mlflow_url
    assert document["worker"]["socket"] == str(configuration.worker_socket)
    assert document["airflow"] == {
        "url": configuration.airflow_url,
        "port": AIRFLOW_PORT,
        "user": "admin",
        "password": services.secrets.airflow_password,
    }
    assert settings.services_file.stat().st_mode & 0o777 == 0o600


def test_secrets_are_generated_once_and_differ_between_installations(settings: Settings, tmp_path: Path) -> None:
    services, _ = read_or_generate(Configuration.read(settings, environ={}))
    again, created = read_or_generate(Configuration.read(settings, environ={}))
    other, _ = read_or_generate(Configuration.read(Settings(home=tmp_path, state=tmp_path / "other"), environ={}))

    assert not created
    assert again == services == read_services(settings)
    assert other.secrets.jwt != services.secrets.jwt
    assert other.secrets.postgres_password != services.secrets.postgres_password


def test_an_open_file_is_closed_again(settings: Settings) -> None:
    read_or_generate(Configuration.read(settings, environ={}))
    settings.services_file.chmod(0o644)
    read_or_generate(Configuration.read(settings, environ={}))
    assert settings.services_file.stat().st_mode & 0o777 == 0o600


def test_a_broken_file_says_how_to_mend_it(settings: Settings) -> None:
    configuration = Configuration.read(settings, environ={})
    settings.state.mkdir()
    settings.services_file.write_text("{")
    with pytest.raises(SpecError, match="not JSON"):
        read_or_generate(configuration)


def test_before_any_up_there_is_nothing_to_read(settings: Settings) -> None:
    with pytest.raises(ResourceError, match="daybreak up"):
        read_services(settings)


def test_urls_of_a_socket_and_of_a_host(settings: Settings) -> None:
    configuration = Configuration.read(settings, environ={})
    embedded, _ = read_or_generate(configuration)
    folder = configuration.postgres_socket_folder
    assert embedded.database.url("mlmd").endswith(f"@/mlmd?host={folder}&port=5432")

    environ = {
        "DAYBREAK_POSTGRES_URL": "postgresql://me:p%40ss@db.example:6000/admin",
        "DAYBREAK_DATABASE_PREFIX": "x_",
    }
    given, _ = read_or_generate(Configuration.read(settings, environ=environ))
    assert given.database.url("airflow", driver="postgresql+psycopg2") == (
        "postgresql+psycopg2://me:p%40ss@db.example:6000/x_airflow"
    )
    assert given.database.maintenance == "admin"


@pytest.mark.parametrize("url", ["mysql://me:secret@host/", "postgresql:///nohost", "postgresql://host/"])
def test_a_url_that_cannot_be_used_is_refused_without_its_password(settings: Settings, url: str) -> None:
    configuration = Configuration.read(settings, environ={"DAYBREAK_POSTGRES_URL": url})
    with pytest.raises(SpecError, match="DAYBREAK_POSTGRES_URL must look like") as caught:
        read_or_generate(configuration)
    assert "secret" not in str(caught.value)
