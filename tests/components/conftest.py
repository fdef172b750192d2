from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.components.tracking.mlflow_server import MLFLOW, MlflowServer


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One real MLflow server for the session; a test that stops it starts it again."""
    if not MLFLOW.exists():
        pytest.skip(f"the services environment is not built: {MLFLOW}")
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.stop()
