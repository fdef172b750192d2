"""Reaching the MLflow server without ever waiting minutes for it.

uri = tracking_uri(settings)
if uri and reachable(uri):
    connect(uri).search_experiments()
"""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipelines.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

# The client's own defaults block 247 s per call when the server is down.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
CONNECT_SECS = 2.0


def tracking_uri(settings: Settings) -> str:
    """`MLFLOW_TRACKING_URI`, or the local service's URL, or "" when none is configured."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or settings.services.get("mlflow", {}).get("url", "")
    return str(uri).rstrip("/")


def reachable(uri: str) -> bool:
    """True when something accepts connections there; always true for a URI without a host."""
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return True
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((parts.hostname, port), timeout=CONNECT_SECS):
            return True
    except OSError:
        return False


def connect(uri: str) -> MlflowClient:
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    # Node logs are read by people: no progress bars, no addresses that open the wrong pages, no notes on waiting.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def run_url(uri: str, *, experiment: str, mlflow_run: str) -> str:
    """The run's page. The pages open for generative models unless the address says otherwise."""
    return f"{uri}/#/experiments/{experiment}/runs/{mlflow_run}?workflowType=machine_learning" if mlflow_run else ""


def model_version_url(uri: str, *, name: str, version: str) -> str:
    return f"{uri}/#/models/{name}/versions/{version}?workflowType=machine_learning"
