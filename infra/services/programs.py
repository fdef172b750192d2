"""What the supervisor runs, in the order it starts.

for program in programs(configuration, services):
    program.name, program.command, program.environment
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.services import airflow, leftovers, mlflow, postgres
from infra.services.configuration import HOST, Configuration
from infra.services.credentials import Services
from pipelines.errors import SpecError
from pipelines.manifest import read_manifest
from pipelines.settings import Settings

AIRFLOW_PROGRAMS = ("api-server", "scheduler", "dag-processor", "triggerer")
_DROPPED = ("AIRFLOW", "_AIRFLOW", "MLFLOW", "PYTHON", "VIRTUAL_ENV", "SUPERVISOR", "PG", "UV_", "DAYBREAK_SERVICE")
"""Variables of the calling shell that would point a service at another installation."""


@dataclass(frozen=True, kw_only=True)
class Program:
    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path
    user: str = ""
    """Another system user to run as; only root can."""
    priority: int = 50
    stop_signal: str = "TERM"
    stop_wait_secs: int = 15
    launched: bool = True
    """Through `launch.py`; not PostgreSQL, which has no secrets, ends its own children, and runs as another user."""


def base_environment(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without what belongs to other installations, tagged as ours."""
    environ = os.environ if environ is None else environ
    kept = {name: text for name, text in environ.items() if not name.startswith(_DROPPED)}
    no_proxy = ",".join(filter(None, [environ.get("NO_PROXY") or environ.get("no_proxy"), HOST, "localhost"]))
    return {
        **kept,
        "DAYBREAK_HOME": str(settings.home),
        "DAYBREAK_STATE": str(settings.state),
        "TMPDIR": str(settings.temporary),
        leftovers.INSTANCE_VARIABLE: str(settings.state),
        "PYTHONUNBUFFERED": "1",
        # The services talk to each other over loopback, whatever proxy the user has.
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        # Process titles would overwrite the environment in which leftovers are recognised.
        "SPT_NOENV": "1",
    }


def programs(configuration: Configuration, services: Services) -> list[Program]:
    found = [_postgres(configuration)] if configuration.embedded_postgres else []
    if "mlflow" not in configuration.without:
        found.append(_mlflow(configuration, services))
    if "worker" not in configuration.without:
        found.append(_worker(configuration))
    found += [_gateway(configuration, split) for split in split_documents(configuration.settings)[:1]]
    if "airflow" not in configuration.without:
        found += [_airflow(name, configuration, services) for name in AIRFLOW_PROGRAMS]
    return found


def _postgres(configuration: Configuration) -> Program:
    user = postgres.os_user()
    return Program(
        name="postgres",
        command=postgres.command(configuration),
        folder=Path("/"),
        user=user.pw_name if user else "",
        priority=10,
        stop_signal="INT",  # "fast": ends sessions and checkpoints; TERM would wait for clients
        stop_wait_secs=60,
        launched=False,
    )


def _mlflow(configuration: Configuration, services: Services) -> Program:
    command = (sys.executable, "-m", "mlflow", "server")
    return Program(
        name="mlflow",
        command=command,
        environment=mlflow.environment(configuration, services),
        folder=configuration.settings.state,
        priority=20,
    )


def _worker(configuration: Configuration) -> Program:
    python = str(configuration.settings.python("ml"))
    command = (python, "-m", "pipelines.worker", "--socket", str(configuration.worker_socket))
    return Program(
        name="worker",
        command=command,
        folder=configuration.settings.home,
        priority=30,
        stop_wait_secs=30,
    )


def split_documents(settings: Settings) -> list[Path]:
    """Of the pipelines that are served by arms, by name."""
    return sorted((settings.state / "serving").glob("*/split.json"))


def _gateway(configuration: Configuration, split: Path) -> Program:
    """Of one pipeline; others are served by `daybreak serve NAME --port PORT`."""
    settings = configuration.settings
    command = (str(settings.python("ml")), "-m", "components.gateway", "--split", str(split))
    clock = ["--simulated-clock"] if _is_simulated(settings, split.parent.name) else []
    return Program(
        name="gateway",
        command=(
            *command,
            "--log",
            str(settings.state / "exposures"),
            "--port",
            str(configuration.gateway_port),
            *clock,
        ),
        folder=settings.home,
        priority=35,
        stop_wait_secs=30,
    )


def _is_simulated(settings: Settings, pipeline: str) -> bool:
    try:
        return read_manifest(settings.manifests / f"{pipeline}.json").simulated
    except SpecError:  # served all the same, at the time of this machine
        return False


def _airflow(name: str, configuration: Configuration, services: Services) -> Program:
    command = (str(airflow.command(configuration.settings)), *airflow.ARGUMENTS[name])
    return Program(
        name=name,
        command=command,
        environment=airflow.environment(configuration, services),
        folder=configuration.settings.home,
        priority=40,
        # The api-server waits for connections that stay open, and has nothing to lose.
        stop_wait_secs=5 if name == "api-server" else 15,
    )


def listening(configuration: Configuration) -> dict[str, int]:
    """TCP ports by program, all on loopback."""
    ports = {"api-server": configuration.airflow_port, "mlflow": configuration.mlflow_port}
    owners = {"api-server": "airflow", "mlflow": "mlflow"}
    found = {name: port for name, port in ports.items() if owners[name] not in configuration.without}
    return found | ({"gateway": configuration.gateway_port} if split_documents(configuration.settings) else {})
