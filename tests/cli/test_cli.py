"""The command line as a user meets it: a process with an exit code and two streams."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.decision.record import DecisionRecord, decision_path
from components.decision.report import Verdict
from pipelines.cli import _run_arguments
from pipelines.errors import SpecError
from pipelines.settings import REPOSITORY, Settings
from tests.infra.installation import Installation, reachable_folder


@pytest.fixture
def installation() -> Iterator[Installation]:
    folder = reachable_folder()
    made = Installation.in_folder(folder / "state")
    try:
        yield made
    finally:
        made.down()
        shutil.rmtree(folder, ignore_errors=True)


def _daybreak(installation: Installation, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *arguments],
        env={**installation.environ(), **variables},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_help_names_every_command(installation: Installation) -> None:
    shown = _daybreak(installation, "--help").stdout
    for command in (
        "up",
        "down",
        "status",
        "restart",
        "doctor",
        "demo",
        "cluster",
        "check",
        "compile",
        "costs",
        "run",
        "explain",
        "champion",
        "rollback",
        "promote",
        "export",
        "generate",
    ):
        assert f" {command} " in shown


@pytest.mark.slow
def test_a_day_of_the_services(installation: Installation) -> None:
    without = [part for name in installation.without for part in ("--without", name)]
    up = _daybreak(installation, "up", *without)
    assert up.returncode == 0, up.stderr
    assert "postgres: healthy after" in up.stdout

    status = _daybreak(installation, "status", DAYBREAK_AIRFLOW_PORT="9")
    assert status.returncode == 0, status.stderr
    assert "postgres" in status.stdout
    assert "healthy" in status.stdout
    assert installation.services.secrets.postgres_password not in up.stdout + status.stdout

    down = _daybreak(installation, "down")
    assert down.returncode == 0, down.stderr
    assert installation.processes() == set()

    after = _daybreak(installation, "status")
    assert after.returncode == 74
    assert "daybreak up" in after.stderr


def test_an_error_is_one_message_and_an_exit_code(installation: Installation) -> None:
    done = _daybreak(installation, "up", "--airflow-port", "7001", "--mlflow-port", "7001")
    assert done.returncode == 78
    assert "a port of its own" in done.stderr
    assert "Fix: " in done.stderr
    assert "Traceback" not in done.stderr


def test_status_before_any_up(installation: Installation) -> None:
    done = _daybreak(installation, "status")
    assert done.returncode == 74
    assert "nothing was ever started here" in done.stderr


def test_explain_shows_the_decision(installation: Installation) -> None:
    settings: Settings = installation.settings
    record = DecisionRecord(
        pipeline="shop",
        day="2026-01-05",
        run_id="shop-2026-01-05-1a2b3c4d",
        verdict=Verdict.REFUSED,
        gate="contract",
        reason="12 % of the rows broke the contract",
        next_command="daybreak run shop --day 2026-01-05 --force",
    )
    record.write(settings)
    assert decision_path(settings, "shop", record.run_id).exists()

    done = _daybreak(installation, "explain", "shop", "--day", "2026-01-05")
    assert done.returncode == 0, done.stderr
    assert "12 % of the rows broke the contract" in done.stdout
    assert "--force" in done.stdout

    other = _daybreak(installation, "explain", "shop", "--day", "2026-01-06")
    assert other.returncode == 78
    assert "daybreak run shop --day 2026-01-06" in other.stderr

    no_day = _daybreak(installation, "explain", "shop", "--day", "2026-13-01")
    assert no_day.returncode == 2
    assert "%Y-%m-%d" in no_day.stderr


def test_ml_commands_replace_the_process_and_keep_its_exit_code(installation: Installation, tmp_path: Path) -> None:
    """With an ML environment that only tells what it was asked."""
    python = tmp_path / ".venvs" / "ml" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\nsys.exit(78)\n")
    python.chmod(0o755)

    done = _daybreak(installation, "compile", "shop", "--all", DAYBREAK_HOME=str(tmp_path))
    assert done.returncode == 78
    assert json.loads(done.stdout) == ["-m", "pipelines.compile", "shop", "--all"]

    helped = _daybreak(installation, "check", "--help", DAYBREAK_HOME=str(tmp_path))
    assert json.loads(helped.stdout) == ["-m", "pipelines.check", "--help"]

    simulated = _daybreak(installation, "generate", "shop", "--days", "3", DAYBREAK_HOME=str(tmp_path))
    assert json.loads(simulated.stdout) == ["-m", "pipelines.shop.simulator", "--days", "3"]


def test_without_the_ml_environment(installation: Installation, tmp_path: Path) -> None:
    done = _daybreak(installation, "check", "shop", DAYBREAK_HOME=str(tmp_path))
    assert done.returncode == 74
    assert "make env" in done.stderr


def test_run_speaks_to_the_node_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBREAK_USER", "ann")
    words = _run_arguments(
        ["shop", "--day", "2026-01-05", "--force", "--reason", "-why", "--rows-limit=100", "--skip-cache"]
    )
    assert words[0] == "run-all"
    assert words[words.index("--day") + 1] == "2026-01-05"
    assert words[words.index("--run-id") + 1].startswith("shop-2026-01-05-")
    assert words[words.index("--manifest") + 1].endswith("manifests/shop.json")
    assert words[-6:] == ["--set", "rows_limit=100", "--skip-cache", "--force", "--user=ann", "--reason=-why"]


@pytest.mark.parametrize("words", [["--force"], ["--force", "--reason", " "], ["--reason", "why"]])
def test_force_and_reason_go_together(words: list[str]) -> None:
    with pytest.raises(SpecError, match=r"Received: .*\n  Fix: add"):
        _run_arguments(["shop", "--day", "2026-01-05", *words])


def test_every_run_is_a_new_one_unless_it_is_named() -> None:
    ask = ["shop", "--day", "2026-01-05"]
    assert _run_arguments(ask) != _run_arguments(ask)
    assert "shop-2026-01-05-aaaaaaaa" in _run_arguments([*ask, "--run-id", "shop-2026-01-05-aaaaaaaa"])


@pytest.mark.parametrize("words", [[], ["--day", "2026-01-05"], ["shop"]])
def test_run_needs_a_pipeline_and_a_day(words: list[str]) -> None:
    with pytest.raises(SpecError, match="Received: "):
        _run_arguments(words)
