"""What the tests of compile, node and worker share: a database, a state folder, the tiny pipeline compiled into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.settings import REPOSITORY, Settings
from tests import postgres

# Before ML Metadata is loaded: it notes every connection.
os.environ.setdefault("GLOG_minloglevel", "1")


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    if postgres.binaries() is None:
        pytest.skip("PostgreSQL's binaries come with the services environment, which is not built")
    with postgres.postgres_server() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=REPOSITORY, state=tmp_path / "state")


@pytest.fixture
def tiny(settings: Settings) -> Path:
    """Path of the manifest."""
    compile_module = pytest.importorskip("pipelines.compile")
    pytest.importorskip("tfx")
    compile_module.compile_by_name("tests.pipelines.tiny.pipeline", settings)
    return settings.manifests / "tiny.json"
