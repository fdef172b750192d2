"""Free ports, checked before anything starts."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from infra.services.configuration import HOST
from pipelines.errors import ResourceError


@dataclass(frozen=True)
class WantedPort:
    service: str
    port: int
    variable: str
    flag: str


def check_ports_free(wanted: Sequence[WantedPort]) -> None:
    """Raises one `ResourceError` that names every port that is taken, its owner, and how to choose another."""
    taken = [port for port in wanted if not is_free(port.port)]
    if not taken:
        return
    found = "; ".join(f"port {port.port} for {port.service} is taken by {owner(port.port)}" for port in taken)
    choose = " ".join(f"{port.variable}={_next_free(port.port)}" for port in taken)
    flags = " ".join(f"{port.flag} {_next_free(port.port)}" for port in taken if port.flag)
    by_flag = f", or `daybreak up {flags}`" if all(port.flag for port in taken) else ""
    raise ResourceError(found, fix=f"stop it, or choose another: `{choose} daybreak up`{by_flag}")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def owner(port: int) -> str:
    """`python (process 4711)` as far as this user may see it."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid is None:
                    break
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "a process of another user, perhaps another clone of Daybreak"


def _next_free(port: int) -> int:
    return next((candidate for candidate in range(port + 1, port + 200) if is_free(candidate)), port + 1)
