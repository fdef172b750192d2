"""`up`, `down` and what happens in between, with a real supervisor and a real PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.services import postgres
from infra.services.configuration import Configuration
from infra.services.credentials import read_services
from infra.services.lifecycle import bring_down, bring_up, restart
from pipelines.errors import ResourceError, SpecError
from tests.infra.installation import Installation, free_port, has_ended, reachable_folder

pytestmark = pytest.mark.slow


def test_up_makes_the_databases_and_listens_on_no_port(installation: Installation) -> None:
    created = installation.up()

    assert created
    names = _query(installation, "SELECT datname FROM pg_database WHERE NOT datistemplate")
    assert {name for (name,) in names} == {"postgres", "airflow", "mlflow", "mlmd", "daybreak"}
    assert _query(installation, "SHOW listen_addresses") == [("",)]


def test_secrets_are_closed_to_others(installation: Installation) -> None:
    installation.up()

    state, sockets = installation.settings.state, installation.configuration.sockets
    assert (state / "services.json").stat().st_mode & 0o777 == 0o600
    for folder in (sockets / "postgres", sockets / "worker", sockets / "supervisor", state / "postgres" / "data"):
        assert folder.stat().st_mode & 0o777 == 0o700, folder
    password = installation.services.secrets.postgres_password
    shown = installation.ask_processes(lambda process: " ".join(process.cmdline()))
    assert any("postgres" in line for line in shown)
    assert not any(password in line for line in shown)


def test_a_wrong_password_is_refused(installation: Installation) -> None:
    installation.up()

    wrong = replace(installation.services.database, password="wrong")
    with pytest.raises(postgres.psycopg2.OperationalError, match="password authentication failed"):
        postgres.connect(wrong)


def test_a_second_up_changes_nothing(installation: Installation) -> None:
    installation.up()
    before, secrets = installation.pid("postgres"), installation.services.secrets
    installation.said.clear()

    created = installation.up()

    assert not created
    assert installation.said == ["everything runs already"]
    assert installation.pid("postgres") == before
    assert installation.services.secrets == secrets


def test_data_and_credentials_survive_down_and_up(installation: Installation) -> None:
    installation.up()
    password = installation.services.secrets.postgres_password
    _query(installation, "CREATE ROLE kept")

    installation.down()
    assert installation.processes() == set()
    installation.up()

    assert installation.services.secrets.postgres_password == password
    assert _query(installation, "SELECT rolname FROM pg_roles WHERE rolname = 'kept'") == [("kept",)]


def test_down_leaves_no_process_and_no_socket(installation: Installation) -> None:
    installation.up()
    supervisor = installation.supervisor.pid()
    installation.down()

    assert installation.processes() == set()
    assert supervisor is not None
    assert has_ended(supervisor)
    assert not installation.configuration.sockets.exists()
    assert not any("left behind" in line for line in installation.said)


def test_down_twice_and_before_any_up_is_fine(installation: Installation) -> None:
    assert installation.down() == 0
    assert installation.down() == 0


def test_a_killed_service_is_started_again_by_the_supervisor(installation: Installation) -> None:
    installation.up()
    killed = installation.pid("postgres")

    os.kill(killed, signal.SIGKILL)

    _wait(lambda: installation.healthy("postgres"))
    assert installation.pid("postgres") != killed


def test_down_ends_what_a_killed_supervisor_left(installation: Installation) -> None:
    installation.up()
    _kill_supervisor(installation)
    assert installation.healthy("postgres")

    ended = installation.down()

    assert ended > 0
    assert installation.processes() == set()
    assert not (postgres.data_folder(installation.configuration) / "postmaster.pid").exists(), "no clean shutdown"


def test_up_repairs_after_a_killed_supervisor(installation: Installation) -> None:
    installation.up()
    orphan = installation.pid("postgres")
    _kill_supervisor(installation)

    installation.up()

    assert installation.healthy("postgres")
    assert installation.pid("postgres") != orphan
    assert has_ended(orphan)


def test_lost_credentials_are_made_anew(installation: Installation) -> None:
    installation.up()
    former = installation.services.secrets.postgres_password
    installation.down()
    installation.settings.services_file.unlink()

    created = installation.up()

    assert created
    assert installation.services.secrets.postgres_password != former
    assert installation.healthy("postgres")


def test_a_long_path_gets_a_short_private_socket_folder_that_down_removes() -> None:
    folder = reachable_folder()
    installation = Installation.in_folder(folder / ("a" * 60) / ("b" * 60) / "with space, comma and 100%")
    sockets = installation.configuration.sockets
    try:
        installation.up()
        assert not sockets.is_relative_to(installation.settings.state)
        assert sockets.stat().st_uid == os.geteuid()
        assert sockets.stat().st_mode & 0o066 == 0
        assert installation.healthy("postgres")
    finally:
        installation.down()
        shutil.rmtree(folder)
    assert not sockets.exists()


def test_two_installations_run_side_by_side(installation: Installation) -> None:
    folder = reachable_folder()
    other = Installation.in_folder(folder / "state")
    try:
        installation.up()
        other.up()
        assert installation.services.secrets != other.services.secrets
        installation.down()
        assert other.healthy("postgres")
    finally:
        other.down()
        shutil.rmtree(folder)


def test_a_taken_port_is_named_with_its_owner_before_anything_starts(installation: Installation) -> None:
    installation.without = ("airflow", "worker")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        installation.mlflow_port = listener.getsockname()[1]
        with pytest.raises(ResourceError) as caught:
            installation.up()

    message = str(caught.value)
    assert f"port {installation.mlflow_port} for mlflow is taken by " in message
    assert f"process {os.getpid()}" in message
    assert "DAYBREAK_MLFLOW_PORT=" in message
    assert installation.processes() == set()
    assert not installation.settings.services_file.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL another user")
def test_a_folder_closed_to_postgres_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    installation = Installation.in_folder(closed / "state")

    with pytest.raises(ResourceError, match="closed to other users") as caught:
        installation.up()

    assert "DAYBREAK_POSTGRES_URL" in str(caught.value)
    assert installation.processes() == set()
    assert not installation.configuration.sockets.exists()


def test_a_server_given_by_url_is_used(installation: Installation) -> None:
    installation.up()
    database = installation.services.database
    folder = reachable_folder()
    url = f"postgresql://{database.user}:{database.password}@/postgres?host={database.host}"
    try:
        other = Installation.in_folder(folder / "state")
        configuration = Configuration.read(
            other.settings,
            airflow_port=free_port(),
            mlflow_port=free_port(),
            without=other.without,
            environ={"DAYBREAK_POSTGRES_URL": url, "DAYBREAK_DATABASE_PREFIX": "second_"},
        )
        services, _ = bring_up(configuration, report=other.said.append)
        with contextlib.closing(postgres.connect(services.database, name="mlmd")) as connection:
            assert connection.info.dbname == "second_mlmd"
        assert "postgres" not in other.supervisor.processes()
        assert read_services(other.settings).database == services.database
    finally:
        bring_down(configuration, report=other.said.append)
        shutil.rmtree(folder)


def test_restart_starts_a_new_process_and_refuses_unknown_names(installation: Installation) -> None:
    installation.up()
    before = installation.pid("postgres")

    restart(installation.configuration, "postgres", report=installation.said.append)

    assert installation.pid("postgres") != before
    with pytest.raises(SpecError, match="one of postgres"):
        restart(installation.configuration, "mysql", report=installation.said.append)


def test_restart_without_services_says_how_to_start_them(installation: Installation) -> None:
    with pytest.raises(ResourceError, match="daybreak up"):
        restart(installation.configuration, "postgres", report=installation.said.append)


def _query(installation: Installation, statement: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(postgres.connect(installation.services.database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def _kill_supervisor(installation: Installation) -> None:
    pid = installation.supervisor.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _wait(lambda: installation.supervisor.pid() is None)


def _wait(condition: Callable[[], bool], *, patience_secs: float = 30) -> None:
    deadline = time.monotonic() + patience_secs
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
