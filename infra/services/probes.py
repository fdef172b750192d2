"""Health by asking each service what it is for, not by looking at its process.

probe("mlflow", configuration, services)      # Health(ok=True, detail="")
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import psycopg2

from infra.services import postgres
from infra.services.configuration import Configuration
from infra.services.credentials import Services
from pipelines.worker_client import ping

TIMEOUT_SECS = 5.0
_AIRFLOW_KEYS = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}


@dataclass(frozen=True)
class Health:
    ok: bool
    detail: str = ""


def probe(name: str, configuration: Configuration, services: Services) -> Health:
    """A service that does not answer is unhealthy; this never raises."""
    asked = _AIRFLOW_KEYS.get(name)
    if asked:
        return _airflow_part(configuration, asked)
    probes: dict[str, Callable[[], Health]] = {
        "postgres": lambda: _postgres(services),
        "mlflow": lambda: _http(f"{configuration.mlflow_url}/health"),
        "worker": lambda: _worker(configuration),
        "gateway": lambda: _http(f"{configuration.gateway_url}/v2/health/ready"),
        "api-server": lambda: _http(f"{configuration.airflow_url}/api/v2/monitor/health"),
    }
    return probes[name]()


def _postgres(services: Services) -> Health:
    try:
        with contextlib.closing(postgres.connect(services.database)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.Error as error:
        return Health(False, _first_line(error))
    return Health(True)


def _http(url: str) -> Health:
    try:
        answer = httpx.get(url, timeout=TIMEOUT_SECS, trust_env=False)
    except httpx.HTTPError as error:
        return Health(False, _first_line(error))
    return Health(answer.is_success, "" if answer.is_success else f"HTTP {answer.status_code}")


def _airflow_part(configuration: Configuration, key: str) -> Health:
    """As the api-server sees it: from the heartbeats in the database."""
    try:
        answer = httpx.get(f"{configuration.airflow_url}/api/v2/monitor/health", timeout=TIMEOUT_SECS, trust_env=False)
        answer.raise_for_status()
        status = answer.json().get(key, {}).get("status")
    except (httpx.HTTPError, ValueError) as error:
        return Health(False, f"unknown, the api-server says: {_first_line(error)}")
    return Health(status == "healthy", "" if status == "healthy" else f"no heartbeat ({status})")


def _worker(configuration: Configuration) -> Health:
    if ping(configuration.worker_socket) is not None:
        return Health(True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_SECS)
        try:
            connection.connect(str(configuration.worker_socket))
        except OSError as error:
            return Health(False, f"{error.strerror or error}; nodes run cold meanwhile")
    return Health(True, "importing; nodes that come now wait for it")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
