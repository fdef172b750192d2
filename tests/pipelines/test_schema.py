from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import schema as command
from pipelines.check import check_schema
from pipelines.settings import REPOSITORY, Settings
from pipelines.shop import simulator
from pipelines.spec import load_spec

DAY = "2026-01-05"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    state = tmp_path_factory.mktemp("state")
    simulator.main(["--days", "1", "--start", DAY, "--rows", "2000", "--out", str(state / "data")])
    return Settings(home=REPOSITORY, state=state)


@pytest.fixture(autouse=True)
def _installation(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBREAK_STATE", str(settings.state))


@pytest.mark.slow
def test_a_proposed_schema_fits_the_spec(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["shop", "--day", DAY]) == 0
    (tmp_path / "schema.pbtxt").write_text(capsys.readouterr().out)

    monkeypatch.setattr("pipelines.check.pipeline_folder", lambda name: tmp_path)
    check_schema(load_spec("shop"), settings)


@pytest.mark.slow
def test_few_values_become_a_domain_and_many_do_not(settings: Settings) -> None:
    schema = command.propose_schema(load_spec("shop"), DAY, settings)
    domains = {feature.name for feature in schema.feature if feature.domain}
    assert {"country", "device", "category"} <= domains
    assert not {"user_id", "title"} & domains


def test_write_never_replaces_a_curated_schema(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "pipeline_folder", lambda name: tmp_path)
    assert command.main(["shop", "--day", DAY, "--write"]) == 0
    written = (tmp_path / "schema.pbtxt").read_text()
    assert "curate it" in capsys.readouterr().out
    assert 'name: "clicked"' in written

    assert command.main(["shop", "--day", DAY, "--write"]) == 78
    assert "never overwritten" in capsys.readouterr().err
    assert (tmp_path / "schema.pbtxt").read_text() == written


def test_a_missing_day_is_a_data_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["shop", "--day", "2026-01-09"]) == 65
    assert "2026-01-09" in capsys.readouterr().err
