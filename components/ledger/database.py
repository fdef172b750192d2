"""The database of the ledger: its address, the connection, and its tables made or brought up to date.

    engine = open_database(Settings.from_environment())

`DAYBREAK_DATABASE_URL`, else the database `daybreak` of the server that `daybreak up` started.
"""

from __future__ import annotations

import logging
import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import SpecError, TransientError
from pipelines.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

DATABASE_VARIABLE = "DAYBREAK_DATABASE_URL"
PATIENCE_SECS = 90.0
"""How long a node waits for a database that restarts: a trained model hangs on it."""
COMMAND_PATIENCE_SECS = 10.0
_HOPELESS = ("authentication failed", "does not exist", "no password supplied")
_MIGRATION_LOCK = 0x6C65_6467_6572  # "ledger"
_CONNECT_SECS = 5
_FIX = "see `daybreak status`; when PostgreSQL runs again, try again"


def is_configured(settings: Settings) -> bool:
    return bool(os.environ.get(DATABASE_VARIABLE) or settings.services.get("database"))


def database_url(settings: Settings) -> URL:
    """Raises `SpecError` when there is no address, or it is not PostgreSQL's."""
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    if text := os.environ.get(DATABASE_VARIABLE):
        try:
            url = make_url(text)
        except ArgumentError:
            url = URL.create("unreadable")
        if url.get_backend_name() not in ("postgresql", "postgres"):
            raise SpecError(
                f"{DATABASE_VARIABLE} must start with postgresql://. Received: {url.drivername}://…",
                fix=f"export {DATABASE_VARIABLE}=postgresql://user:password@host:port/name",
            )
        return url.set(drivername="postgresql+psycopg2")
    found = settings.services.get("database")
    if not found:
        raise SpecError(
            f"there is no ledger database. Received: {DATABASE_VARIABLE} is not set and no services.json",
            fix=f"run `daybreak up`, or export {DATABASE_VARIABLE}=postgresql://user:password@host:port/name",
        )
    socket = str(found["host"]).startswith("/")
    return URL.create(
        "postgresql+psycopg2",
        username=found["user"],
        password=found["password"],
        host=None if socket else found["host"],
        port=None if socket else int(found["port"]),
        database=found["names"]["daybreak"],
        query={"host": found["host"], "port": str(found["port"])} if socket else {},
    )


def open_database(settings: Settings, *, patience_secs: float = PATIENCE_SECS) -> Engine:
    """Waits for the server, and migrates the tables when they are old or missing; two at once take turns.

    Raises `TransientError` when the server does not answer in time.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    # No pool: nodes and commands are short, and forked children must not share a connection.
    engine = create_engine(
        database_url(settings),
        poolclass=NullPool,
        connect_args={"connect_timeout": _CONNECT_SECS, "application_name": "daybreak ledger"},
    )
    _wait(engine, patience_secs)
    _migrate(engine)
    return engine


def _wait(engine: Engine, patience_secs: float) -> None:
    from sqlalchemy.exc import OperationalError

    deadline, pause = time.monotonic() + patience_secs, 0.1
    while True:
        try:
            engine.connect().close()
            return
        except OperationalError as error:
            words = " ".join(str(error.orig).split())
            if any(word in words for word in _HOPELESS):
                raise SpecError(
                    f"the ledger database refuses this connection: {words}",
                    fix=f"correct {DATABASE_VARIABLE}, or run `daybreak up` again",
                ) from error
            if time.monotonic() + pause > deadline:
                raise TransientError(
                    f"the ledger database did not answer for {patience_secs:g} s: {words}", fix=_FIX
                ) from error
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, 5.0)


def _migrate(engine: Engine) -> None:
    from components.ledger.tables import HEAD

    with engine.begin() as connection:
        if _revision(connection) == HEAD:
            return
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        if _revision(connection) != HEAD:
            _upgrade(connection)


def _revision(connection: Connection) -> str:
    from sqlalchemy import text

    from components.ledger.tables import VERSION_TABLE

    if connection.scalar(text("SELECT to_regclass(:name)"), {"name": VERSION_TABLE}) is None:
        return ""
    return str(connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) or "")  # noqa: S608, our own name


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    # Alembic's reader expands `%`.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SpecError(
            f"the ledger was written by another release: {error}. Received: revision {_revision(connection)}",
            fix="use the release that wrote it, or a newer one",
        ) from error
