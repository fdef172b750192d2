"""The connection to ML Metadata: one section at a time per database.

TFX reads, then writes (types, contexts, executions), and its store fails with "already exists" or "aborted" when two
nodes do so at once. A section (`with connection:`) lasts milliseconds and never spans an executor, so sections take turns
by a lock of the database itself, which is freed when its holder is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import ml_metadata
import psycopg2
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata

from pipelines.errors import SpecError, TransientError
from pipelines.node.store import Store
from pipelines.settings import Settings

PATIENCE_SECS = 90.0
"""How long a database that restarts is waited for before the node fails (and is retried by the orchestrator)."""

_HOPELESS = ("authentication failed", "does not exist", "no password supplied")
_ADVISORY_LOCK = 0x6461_7962_7265_616B  # "daybreak"


def connection_config(settings: Settings, environ: Mapping[str, str]) -> metadata_store_pb2.ConnectionConfig:
    """`DAYBREAK_MLMD_URL`, else the database `daybreak up` started."""
    url = environ.get("DAYBREAK_MLMD_URL")
    if url:
        return _from_url(url)
    database = settings.services.get("database")
    if not database:
        raise SpecError(
            "there is no metadata database. Received: DAYBREAK_MLMD_URL is not set and no services.json",
            fix="run `daybreak up`, or export DAYBREAK_MLMD_URL=postgresql://user:password@host:port/name",
        )
    return _postgresql(
        host=str(database["host"]),
        port=str(database["port"]),
        user=str(database["user"]),
        password=str(database["password"]),
        name=str(database["names"]["mlmd"]),
    )


def _from_url(url: str) -> metadata_store_pb2.ConnectionConfig:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        config = metadata_store_pb2.ConnectionConfig()
        config.sqlite.filename_uri = parts.path
        config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        return config
    if parts.scheme not in ("postgresql", "postgres"):
        raise SpecError(
            f"DAYBREAK_MLMD_URL must start with postgresql://. Received: {parts.scheme}://…",
            fix="export DAYBREAK_MLMD_URL=postgresql://user:password@host:port/name",
        )
    query = parse_qs(parts.query)
    return _postgresql(
        host=query.get("host", [parts.hostname or "localhost"])[0],
        port=query.get("port", [str(parts.port or 5432)])[0],
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        name=parts.path.lstrip("/"),
    )


def _postgresql(*, host: str, port: str, user: str, password: str, name: str) -> metadata_store_pb2.ConnectionConfig:
    config = metadata_store_pb2.ConnectionConfig()
    target = config.postgresql
    target.host, target.port, target.user, target.password, target.dbname = host, port, user, password, name
    target.skip_db_creation = True
    return config


def prepare(settings: Settings, environ: Mapping[str, str]) -> None:
    """Creates the tables of a new database, which takes seconds that the first node would pay."""
    with Connection(connection_config(settings, environ)):
        pass


class Connection(metadata.Metadata):  # type: ignore[misc]
    """What TFX's launcher is given. Nested sections share one; not for several threads at once."""

    def __init__(self, config: metadata_store_pb2.ConnectionConfig) -> None:
        super().__init__(config)
        self._lock: contextlib.ExitStack | None = None

    def __enter__(self) -> Connection:
        if self._users == 0:
            self._lock = contextlib.ExitStack()
            try:
                self._lock.enter_context(_turn(self._connection_config))
                self._store = _patiently(lambda: Store(self._connection_config))
            except BaseException:
                self._lock.close()
                raise
        self._users += 1
        return self

    def __exit__(self, *exception: object) -> None:
        self._users -= 1
        if self._users == 0:
            self._store = None
            assert self._lock is not None
            self._lock.close()


@contextlib.contextmanager
def _turn(config: metadata_store_pb2.ConnectionConfig) -> Iterator[None]:
    if config.HasField("sqlite"):
        path = Path(config.sqlite.filename_uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    database = config.postgresql
    session = _patiently(
        lambda: psycopg2.connect(
            host=database.host,
            port=database.port,
            user=database.user,
            password=database.password or None,
            dbname=database.dbname,
            application_name="daybreak node",
        )
    )
    try:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5min'")
            cursor.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
        yield
    finally:
        session.close()


def _patiently(connect: Any) -> Any:
    """A database that is restarting is worth waiting for: a trained model hangs on it."""
    deadline = time.monotonic() + PATIENCE_SECS
    pause = 0.1
    while True:
        try:
            return connect()
        except (psycopg2.OperationalError, RuntimeError, ml_metadata.errors.StatusError) as error:
            if any(words in str(error) for words in _HOPELESS):
                raise SpecError(
                    f"the metadata database refuses this connection: {_one_line(error)}",
                    fix="correct DAYBREAK_MLMD_URL, or run `daybreak up` again",
                ) from error
            if time.monotonic() + pause > deadline:
                raise TransientError(
                    f"the metadata database did not answer for {PATIENCE_SECS:g} s: {_one_line(error)}",
                    fix="see `daybreak status`; when it runs again, retry the task",
                ) from error
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, 5.0)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
