"""An installation of the services for one test: own state folder, own ports, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil

from infra.services import leftovers
from infra.services.configuration import OPTIONAL, Configuration
from infra.services.credentials import Services, read_services
from infra.services.lifecycle import bring_down, bring_up
from infra.services.probes import probe
from infra.services.supervisor import Supervisor
from pipelines.settings import REPOSITORY, Settings

ONLY_POSTGRES = OPTIONAL

T = TypeVar("T")


@dataclass
class Installation:
    settings: Settings
    airflow_port: int
    mlflow_port: int
    gateway_port: int
    without: tuple[str, ...] = ONLY_POSTGRES
    said: list[str] = field(default_factory=list)

    @classmethod
    def in_folder(cls, state: Path, *, without: Sequence[str] = ONLY_POSTGRES) -> Installation:
        settings = Settings(home=REPOSITORY, state=state)
        return cls(
            settings,
            airflow_port=free_port(),
            mlflow_port=free_port(),
            gateway_port=free_port(),
            without=tuple(without),
        )

    @property
    def configuration(self) -> Configuration:
        return Configuration.read(
            self.settings,
            airflow_port=self.airflow_port,
            mlflow_port=self.mlflow_port,
            without=self.without,
            environ={"DAYBREAK_GATEWAY_PORT": str(self.gateway_port)},
        )

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.configuration)

    @property
    def services(self) -> Services:
        return read_services(self.settings)

    def up(self) -> bool:
        """Returns whether credentials were generated."""
        return bring_up(self.configuration, report=self.said.append)[1]

    def down(self) -> int:
        return bring_down(self.configuration, report=self.said.append)

    def pid(self, name: str) -> int:
        return self.supervisor.processes()[name].pid

    def healthy(self, name: str) -> bool:
        return probe(name, self.configuration, self.services).ok

    def processes(self) -> set[int]:
        """Everything that belongs to it, whoever its parent is now."""
        return leftovers.tagged(str(self.settings.state))

    def ask_processes(self, question: Callable[[psutil.Process], T]) -> list[T]:
        """The answers of those that live: a process may end, or be a zombie, while it is asked."""
        answers = []
        for pid in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                answers.append(question(psutil.Process(pid)))
        return answers

    def environ(self) -> dict[str, str]:
        """For the command line."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DAYBREAK_")}
        return {
            **kept,
            "DAYBREAK_STATE": str(self.settings.state),
            "DAYBREAK_AIRFLOW_PORT": str(self.airflow_port),
            "DAYBREAK_MLFLOW_PORT": str(self.mlflow_port),
            "DAYBREAK_GATEWAY_PORT": str(self.gateway_port),
        }


def reachable_folder() -> Path:
    """Short, and open to the user that PostgreSQL gets from root; pytest's own folders are closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="db", dir="/tmp"))
    folder.chmod(0o755)
    return folder


def has_ended(pid: int) -> bool:
    """Whether the process is gone, or a zombie that nobody has waited for."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def free_port() -> int:
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        return int(probe_socket.getsockname()[1])
