from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from components.ledger import migrations
from components.ledger.database import DATABASE_VARIABLE, database_url, is_configured, open_database
from components.ledger.tables import HEAD, metadata
from pipelines.errors import SpecError, TransientError
from pipelines.manifest import write_atomically
from pipelines.settings import REPOSITORY, Settings
from tests.postgres import Server


def test_two_at_once_make_the_tables_once(postgres_server: Server, settings: Settings) -> None:
    url = postgres_server.new_database()
    code = "from components.ledger.database import open_database as o; from pipelines.settings import Settings as S; o(S.from_environment())"
    environ = {**os.environ, DATABASE_VARIABLE: url}
    started = [
        subprocess.Popen([sys.executable, "-c", code], env=environ, cwd=REPOSITORY, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in started:
        assert process.wait() == 0, process.stderr and process.stderr.read()


def test_the_migrations_make_the_tables_that_the_code_knows(settings: Settings) -> None:
    engine = open_database(settings)
    with engine.connect() as connection:
        for table in metadata.tables.values():
            query = text("SELECT column_name FROM information_schema.columns WHERE table_name = :name")
            assert set(connection.scalars(query, {"name": table.name})) == set(table.columns.keys())


def test_the_newest_migration_is_the_one_that_the_code_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_ledger_of_a_newer_release_is_refused(
    postgres_server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, postgres_server.new_database())
    with open_database(settings).begin() as connection:
        connection.execute(text("UPDATE ledger_revision SET version_num = '9999'"))
    with pytest.raises(SpecError, match="another release.*Received: revision 9999"):
        open_database(settings)


def test_a_server_that_is_down_is_worth_a_retry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, f"postgresql://nobody@/none?host={tmp_path}")
    with pytest.raises(TransientError, match="did not answer for 0.3 s"):
        open_database(Settings(home=tmp_path, state=tmp_path), patience_secs=0.3)


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    nothing = Settings(home=tmp_path, state=tmp_path)
    assert not is_configured(nothing)
    with pytest.raises(SpecError, match="daybreak up"):
        database_url(nothing)
    content = (
        b'{"database": {"host": "/run/x y", "port": 5432, "user": "u", "password": "p@:/%", '
        b'"names": {"daybreak": "a_daybreak"}}}'
    )
    write_atomically(tmp_path / "up" / "services.json", content)
    url = database_url(Settings(home=tmp_path, state=tmp_path / "up"))
    assert (url.password, url.database, url.query["host"]) == ("p@:/%", "a_daybreak", "/run/x y")
    for text_, shown in (("mysql://u:secret@h/d", "mysql"), ("secret words", "unreadable")):
        monkeypatch.setenv(DATABASE_VARIABLE, text_)
        with pytest.raises(SpecError, match=f"Received: {shown}://…") as error:
            database_url(nothing)
        assert "secret" not in str(error.value)
    monkeypatch.setenv(DATABASE_VARIABLE, "postgres://u:p@h/d")
    assert database_url(nothing).drivername == "postgresql+psycopg2"
