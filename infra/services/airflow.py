"""Airflow's settings, as environment variables: there is no airflow.cfg to keep in step.

environ = airflow_environment(
    settings=settings, database_url="postgresql+psycopg2://…", port=8080, fernet_key="…", jwt_secret="…", api_secret="…"
)
subprocess.run([command(settings), "dags", "list"], env={**os.environ, **environ})
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from infra.services import postgres
from infra.services.airflow_api import AirflowApi
from infra.services.configuration import HOST, Configuration
from infra.services.credentials import AIRFLOW_USER, Services
from pipelines.errors import TransientError
from pipelines.manifest import write_atomically
from pipelines.settings import Settings

POOL = "daybreak"
PASSWORD_FILE = "passwords.json"  # noqa: S105
ARGUMENTS = {
    "api-server": ("api-server",),
    # Their log servers would listen on all interfaces; the api-server reads the files itself.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
MIGRATION_TIMEOUT_SECS = 600


def command(settings: Settings) -> Path:
    return settings.python("orchestrator").parent / "airflow"


def airflow_environment(
    *,
    settings: Settings,
    database_url: str,
    port: int,
    fernet_key: str,
    jwt_secret: str,
    api_secret: str,
    cores: int | None = None,
) -> dict[str, str]:
    """What turns a plain environment into Airflow's, to be laid over PATH and the like."""
    cores = cores or len(os.sched_getaffinity(0))
    home = settings.state / "airflow"
    url = f"http://{HOST}:{port}"
    options: dict[str, dict[str, object]] = {
        "core": {
            "executor": "LocalExecutor",
            "parallelism": max(4, cores + 2),  # `conclude` needs no slot of the pool
            "dags_folder": settings.home / "dags",
            "load_examples": False,
            "fernet_key": fernet_key,
            "execution_api_server_url": f"{url}/execution/",
            "simple_auth_manager_users": f"{AIRFLOW_USER}:admin",
            "simple_auth_manager_passwords_file": home / PASSWORD_FILE,
        },
        "database": {"sql_alchemy_conn": database_url},
        "api": {
            "host": HOST,  # the default is every interface, in plain text
            "port": port,
            "base_url": url,
            "secret_key": api_secret,
            "workers": 1,
            "instance_name": "Daybreak",
        },
        "api_auth": {"jwt_secret": jwt_secret},
        # 0.3 to 0.6 s a task in a chain instead of 1.0 to 1.3, and no "state mismatch" of tasks that resume.
        # A task whose scheduler was killed is tried again after this long; the default is 300.
        "scheduler": {"scheduler_idle_sleep_time": 0.2, "task_instance_heartbeat_timeout": 90},
        "workers": {"min_heartbeat_interval": 1},
        # A manifest that `daybreak compile` wrote shows up after this many seconds.
        "dag_processor": {"refresh_interval": 10, "min_file_process_interval": 10, "parsing_processes": 1},
        "logging": {
            "base_log_folder": settings.logs / "tasks",
            "dag_processor_child_process_log_directory": settings.logs / "dag-processor",
            "colored_console_log": False,
        },
        "usage_data_collection": {"enabled": False},
    }
    variables = {
        f"AIRFLOW__{section.upper()}__{name.upper()}": str(value)
        for section, values in options.items()
        for name, value in values.items()
    }
    return {
        **variables,
        "AIRFLOW_HOME": str(home),
        # DAG files and what they import are of one folder, whichever folder the environment was built in.
        "PYTHONPATH": str(settings.home),
        "DAYBREAK_HOME": str(settings.home),
        "DAYBREAK_STATE": str(settings.state),
        "DAYBREAK_POOL_SLOTS": str(cores),
    }


def environment(configuration: Configuration, services: Services) -> dict[str, str]:
    secrets = services.secrets
    return airflow_environment(
        settings=configuration.settings,
        database_url=services.database.url("airflow", driver="postgresql+psycopg2"),
        port=configuration.airflow_port,
        fernet_key=secrets.fernet,
        jwt_secret=secrets.jwt,
        api_secret=secrets.api,
        cores=configuration.cores,
    )


def prepare(configuration: Configuration, services: Services, *, base: Mapping[str, str]) -> bool:
    """Writes the password file and migrates the database; returns whether there was anything to migrate.

    Migrating costs 5 to 10 s even when nothing is new, so a stamp remembers version and database.
    Raises `TransientError` with the end of the log when the migration fails.
    """
    home = configuration.airflow_home
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    passwords = json.dumps({AIRFLOW_USER: services.secrets.airflow_password}).encode()
    write_atomically(home / PASSWORD_FILE, passwords, mode=0o600)
    stamp, wanted = home / "migrated", _migration(configuration, services)
    if stamp.exists() and stamp.read_text() == wanted:
        return False
    _migrate(configuration, {**base, **environment(configuration, services)})
    write_atomically(stamp, wanted.encode())
    return True


def _migration(configuration: Configuration, services: Services) -> str:
    packages = configuration.settings.python("orchestrator").parent.parent / "lib"
    versions = sorted(path.name for path in packages.glob("python*/site-packages/apache_airflow*-*.dist-info"))
    place = [services.database.host, services.database.port, services.database.names["airflow"]]
    return hashlib.sha256(json.dumps([versions, place, postgres.identity(configuration)]).encode()).hexdigest()


def _migrate(configuration: Configuration, environ: Mapping[str, str]) -> None:
    log = configuration.settings.logs / "airflow-migrate.log"
    with log.open("wb") as file:
        done = subprocess.run(
            [command(configuration.settings), "db", "migrate"],
            env=dict(environ),
            cwd=configuration.settings.home,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=MIGRATION_TIMEOUT_SECS,
            check=False,
        )
    if done.returncode != 0:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
        raise TransientError(
            f"`airflow db migrate` ended with {done.returncode}:\n{end}", fix=f"read {log}, then `daybreak up`"
        )


def make_pool(configuration: Configuration, services: Services) -> None:
    """As many slots as cores: heavy nodes wait for each other instead of for memory."""
    slots = configuration.cores
    body = {"name": POOL, "slots": slots, "description": "Nodes, one slot a core", "include_deferred": False}
    with AirflowApi(configuration.airflow_url, user=AIRFLOW_USER, password=services.secrets.airflow_password) as api:
        known = {pool["name"] for pool in api.get("/pools", params={"limit": 100})["pools"]}
        if POOL in known:
            api.patch(f"/pools/{POOL}", body)
        else:
            api.post("/pools", body)
