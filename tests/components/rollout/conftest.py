from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from components.ledger.ledger import Ledger
from components.rollout.store import RolloutStore
from pipelines.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DAYBREAK_DATABASE_URL", ledger_url)
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path / "state"))
    return Settings.from_environment()


@pytest.fixture
def ledger(settings: Settings, request: pytest.FixtureRequest) -> Ledger:
    """Of a model of its own for each test."""
    return Ledger.open(settings, f"toy{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]}")


@pytest.fixture
def store(ledger: Ledger) -> RolloutStore:
    return RolloutStore(ledger.engine)
