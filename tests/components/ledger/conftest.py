from __future__ import annotations

from pathlib import Path

import pytest

from components.ledger.ledger import Ledger
from pipelines.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DAYBREAK_DATABASE_URL", ledger_url)
    return Settings(home=tmp_path, state=tmp_path / "state")


@pytest.fixture
def ledger(settings: Settings, request: pytest.FixtureRequest) -> Ledger:
    """Of a model of its own for each test."""
    return Ledger.open(settings, request.node.name)
