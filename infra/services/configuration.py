"""What `daybreak up` should run, and where. Flags win over the environment, that over the last `up`, that over defaults.

Configuration.read(settings, airflow_port=8081, without=("worker",)).airflow_url
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from infra.services.sockets import socket_root
from pipelines.errors import SpecError
from pipelines.settings import Settings

HOST = "127.0.0.1"
OPTIONAL = ("airflow", "mlflow", "worker")
"""What `--without` takes."""
AIRFLOW_PORT_VARIABLE, AIRFLOW_PORT = "DAYBREAK_AIRFLOW_PORT", 8080
MLFLOW_PORT_VARIABLE, MLFLOW_PORT = "DAYBREAK_MLFLOW_PORT", 5000
GATEWAY_PORT_VARIABLE, GATEWAY_PORT = "DAYBREAK_GATEWAY_PORT", 8600
POSTGRES_URL_VARIABLE = "DAYBREAK_POSTGRES_URL"
DATABASE_PREFIX_VARIABLE = "DAYBREAK_DATABASE_PREFIX"
OS_USER_VARIABLE = "DAYBREAK_POSTGRES_OS_USER"


@dataclass(frozen=True, kw_only=True)
class Configuration:
    settings: Settings
    airflow_port: int
    mlflow_port: int
    gateway_port: int = GATEWAY_PORT
    postgres_url: str = ""
    """A server the user has; empty means the embedded one."""
    database_prefix: str = ""
    """Before the names of the databases, for two installations on one server."""
    without: frozenset[str] = frozenset()
    cores: int = 1
    sockets: Path

    @classmethod
    def read(
        cls,
        settings: Settings,
        *,
        airflow_port: int | None = None,
        mlflow_port: int | None = None,
        without: Collection[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> Configuration:
        """Raises `SpecError` for a port that is none, two services on one port, or an unknown name in `without`."""
        environ = os.environ if environ is None else environ
        if unknown := sorted(set(without) - set(OPTIONAL)):
            raise SpecError(
                f"`--without` takes {', '.join(OPTIONAL)}. Received: {', '.join(unknown)}", fix="correct the name"
            )
        last = replace(settings).services  # not what was cached before the last `up`
        airflow = (
            airflow_port,
            _port(environ, AIRFLOW_PORT_VARIABLE),
            last.get("airflow", {}).get("port"),
            AIRFLOW_PORT,
        )
        mlflow = (mlflow_port, _port(environ, MLFLOW_PORT_VARIABLE), last.get("mlflow", {}).get("port"), MLFLOW_PORT)
        configuration = cls(
            settings=settings,
            airflow_port=_first(airflow),
            mlflow_port=_first(mlflow),
            gateway_port=_first(
                (_port(environ, GATEWAY_PORT_VARIABLE), last.get("gateway", {}).get("port"), GATEWAY_PORT)
            ),
            postgres_url=environ.get(POSTGRES_URL_VARIABLE, ""),
            database_prefix=environ.get(DATABASE_PREFIX_VARIABLE, ""),
            without=frozenset(without),
            cores=len(os.sched_getaffinity(0)),
            sockets=socket_root(settings.state),
        )
        configuration._check_ports()
        return configuration

    @classmethod
    def of_last_up(cls, settings: Settings) -> Configuration:
        """Whatever this shell's environment says: for `status`, `restart` and `down`."""
        return cls.read(settings, environ={})

    def _check_ports(self) -> None:
        ports = {
            AIRFLOW_PORT_VARIABLE: self.airflow_port,
            MLFLOW_PORT_VARIABLE: self.mlflow_port,
            GATEWAY_PORT_VARIABLE: self.gateway_port,
        }
        for variable, port in ports.items():
            if not 1 <= port <= 65535:
                raise SpecError(
                    f"{variable} must be a port from 1 to 65535. Received: {variable}={port}", fix="change it"
                )
        if len(set(ports.values())) < len(ports):
            given = ", ".join(f"{variable}={port}" for variable, port in ports.items())
            raise SpecError(f"every service needs a port of its own. Received: {given}", fix="set another port")

    @property
    def airflow_url(self) -> str:
        return f"http://{HOST}:{self.airflow_port}"

    @property
    def mlflow_url(self) -> str:
        return f"http://{HOST}:{self.mlflow_port}"

    @property
    def gateway_url(self) -> str:
        return f"http://{HOST}:{self.gateway_port}"

    @property
    def postgres_data(self) -> Path:
        return self.settings.state / "postgres"

    @property
    def postgres_socket_folder(self) -> Path:
        return self.sockets / "postgres"

    @property
    def worker_socket(self) -> Path:
        return self.sockets / "worker" / "worker.sock"

    @property
    def supervisor_socket(self) -> Path:
        return self.sockets / "supervisor" / "supervisor.sock"

    @property
    def supervisor_file(self) -> Path:
        return self.settings.state / "supervisord.conf"

    @property
    def airflow_home(self) -> Path:
        return self.settings.state / "airflow"

    @property
    def embedded_postgres(self) -> bool:
        return not self.postgres_url


def _port(environ: Mapping[str, str], variable: str) -> int | None:
    text = environ.get(variable, "")
    if text and not text.isdecimal():
        raise SpecError(f"{variable} must be a port from 1 to 65535. Received: {variable}={text!r}", fix="change it")
    return int(text) if text else None


def _first(choices: Iterable[int | None]) -> int:
    return next(port for port in choices if port is not None)
