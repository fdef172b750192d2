"""The table of `daybreak status`, and the lines that say where to go."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import psutil
from rich.markup import escape
from rich.table import Table

from infra.services.configuration import Configuration
from infra.services.credentials import AIRFLOW_USER, Services
from infra.services.probes import probe
from infra.services.supervisor import ProcessInfo, Supervisor


@dataclass(frozen=True)
class Row:
    name: str
    state: str
    ok: bool
    detail: str
    pid: int
    seconds: int
    memory_bytes: int
    """Resident, of the process and its descendants; pages they share are counted for each."""


def rows(configuration: Configuration, services: Services) -> list[Row]:
    """One per program the supervisor knows; empty when nothing runs."""
    return [_row(info, configuration, services) for info in Supervisor(configuration).processes().values()]


def _row(info: ProcessInfo, configuration: Configuration, services: Services) -> Row:
    if not info.running:
        return Row(info.name, info.state.lower(), False, info.detail, 0, 0, 0)
    health = probe(info.name, configuration, services)
    state = "healthy" if health.ok else "unhealthy"
    return Row(info.name, state, health.ok, health.detail, info.pid, info.seconds, _memory(info.pid))


def _memory(pid: int) -> int:
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for part in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += int(part.memory_info().rss)
    return total


def table(found: Sequence[Row]) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("service", "state", "process", "up", "memory", "note"):
        made.add_column(column, justify="right" if column in ("process", "up", "memory") else "left")
    for row in found:
        state = f"[green]{row.state}[/]" if row.ok else f"[red]{row.state}[/]"
        cells = (str(row.pid or ""), _duration(row.seconds), _megabytes(row.memory_bytes))
        made.add_row(row.name, state, *cells, escape(row.detail))
    return made


def addresses(
    configuration: Configuration, services: Services, *, running: Collection[str], show_password: bool
) -> list[str]:
    """Where to go and how to sign in, for the programs that are `running`."""
    lines = []
    if "api-server" in running:
        password = services.secrets.airflow_password if show_password else "in the secrets file"
        lines.append(f"Airflow  {configuration.airflow_url}  user {AIRFLOW_USER}, password {password}")
    if "mlflow" in running:
        lines.append(f"MLflow   {configuration.mlflow_url}/#/experiments?workflowType=machine_learning")
    if "gateway" in running:
        lines.append(f"Gateway  {configuration.gateway_url}/rollout")
    lines.append(f"Secrets  {configuration.settings.services_file} (mode 0600)")
    lines.append(f"Logs     {configuration.settings.logs}")
    return lines


def _duration(seconds: int) -> str:
    if not seconds:
        return ""
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


def _megabytes(memory_bytes: int) -> str:
    return f"{memory_bytes / 1e6:.0f} MB" if memory_bytes else ""
