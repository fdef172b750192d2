from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import SpecError
from pipelines.settings import REPOSITORY, Settings


def test_state_lives_in_the_repository_unless_told() -> None:
    assert Settings.from_environment({}).state == REPOSITORY / ".daybreak"


def test_environment_overrides(tmp_path: Path) -> None:
    settings = Settings.from_environment({"DAYBREAK_STATE": str(tmp_path), "DAYBREAK_HOME": "/somewhere"})
    assert (settings.state, settings.home) == (tmp_path, Path("/somewhere"))


def test_expand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, state=tmp_path / "state")
    monkeypatch.setenv("CITY", "chicago")
    monkeypatch.delenv("NOWHERE", raising=False)
    assert settings.expand("${DAYBREAK_DATA}/shop") == f"{tmp_path}/state/data/shop"
    assert settings.expand("${DAYBREAK_STATE}/${CITY}/{day}.csv") == f"{tmp_path}/state/chicago/{{day}}.csv"
    assert settings.expand("${NOWHERE:-there}/x") == "there/x"
    with pytest.raises(SpecError, match="export NOWHERE="):
        settings.expand("${NOWHERE}/x")


def test_services_of_an_installation_that_never_ran(tmp_path: Path) -> None:
    assert Settings(home=tmp_path, state=tmp_path).services == {}
