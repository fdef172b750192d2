from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import postgres
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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    if postgres.binaries() is None:
        pytest.skip("PostgreSQL's binaries come with the services environment, which is not built")
    with postgres.postgres_server() as running:
        yield running


@pytest.fixture(scope="session")
def ledger_url(postgres_server: postgres.Server) -> str:
    """One database for the session; a test has a model of its own."""
    return postgres_server.new_database()
