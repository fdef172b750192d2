"""Sections on ML Metadata take turns, whatever happens to the one who holds the turn."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("tfx")

from pipelines.errors import SpecError
from pipelines.node.metadata import Connection, connection_config
from pipelines.settings import Settings
from tests.pipelines.forked import wait_for
from tests.postgres import Server


def connect(url: str) -> Connection:
    return Connection(connection_config(Settings.from_environment(), {"DAYBREAK_MLMD_URL": url}))


def fork(work: object) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()  # type: ignore[operator]
            code = 0
        finally:
            os._exit(code)
    return pid


def ended_well(pid: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> str:
    return server.new_database() if request.param == "postgresql" else f"sqlite://{tmp_path / 'mlmd.db'}"


def test_sections_of_processes_never_overlap(url: str, tmp_path: Path) -> None:
    journal = tmp_path / "journal"

    def section() -> None:
        with connect(url) as connection, journal.open("a") as file:
            print("in", file=file, flush=True)
            time.sleep(0.1)
            assert connection.store.get_artifacts() == []
            print("out", file=file, flush=True)

    started = [fork(section) for _ in range(5)]
    assert [ended_well(pid) for pid in started] == [True] * 5
    assert journal.read_text().split() == ["in", "out"] * 5


def test_a_killed_holder_gives_its_turn_back(url: str, tmp_path: Path) -> None:
    marker = tmp_path / "inside"

    def hold() -> None:
        with connect(url):
            marker.write_text("yes")
            time.sleep(60)

    pid = fork(hold)
    wait_for(marker)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    started = time.monotonic()
    with connect(url):
        pass
    assert time.monotonic() - started < 10


def test_nested_sections_share_one(url: str) -> None:
    connection = connect(url)
    with connection:
        store = connection.store
        with connection as inner:
            assert inner.store is store
        assert connection.store is store, "the inner end does not end the outer"
    with pytest.raises(RuntimeError):
        _ = connection.store


def test_addresses() -> None:
    settings = Settings.from_environment()
    found = connection_config(settings, {"DAYBREAK_MLMD_URL": "postgresql://me:p%40ss@db.example:6000/mlmd"}).postgresql
    assert (found.host, found.port, found.user, found.password, found.dbname) == (
        "db.example",
        "6000",
        "me",
        "p@ss",
        "mlmd",
    )
    with pytest.raises(SpecError, match="postgresql://") as error:
        connection_config(settings, {"DAYBREAK_MLMD_URL": "mysql://me:secret@db/mlmd"})
    assert "secret" not in str(error.value)


def test_the_services_are_the_default(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, state=tmp_path)
    with pytest.raises(SpecError, match="daybreak up"):
        connection_config(settings, {})
    settings.services_file.write_text(
        '{"database": {"host": "/run/pg", "port": 5432, "user": "u", "password": "p", "names": {"mlmd": "m"}}}'
    )
    found = connection_config(Settings(home=tmp_path, state=tmp_path), {}).postgresql
    assert (found.host, found.port, found.dbname) == ("/run/pg", "5432", "m")
