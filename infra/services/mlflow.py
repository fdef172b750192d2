"""MLflow's server: PostgreSQL behind it, artifacts served from `<state>/mlflow`."""

from __future__ import annotations

from infra.services.configuration import HOST, Configuration
from infra.services.credentials import Services


def environment(configuration: Configuration, services: Services) -> dict[str, str]:
    """By environment instead of arguments: the database's password would be in the process list."""
    artifacts = configuration.settings.state / "mlflow" / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    return {
        "MLFLOW_HOST": HOST,
        "MLFLOW_PORT": str(configuration.mlflow_port),
        "MLFLOW_BACKEND_STORE_URI": services.database.url("mlflow", driver="postgresql+psycopg2"),
        "MLFLOW_SERVE_ARTIFACTS": "true",
        "MLFLOW_ARTIFACTS_DESTINATION": artifacts.as_uri(),
        # One worker and no job runner: 2 processes and 0.4 GB instead of 15 and 1.5.
        "MLFLOW_WORKERS": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # Matched literally, name and port: browsers that were rebound to another name are refused.
        "MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*,localhost:*",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
