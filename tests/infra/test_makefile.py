"""The menu, and that a failing suite fails `make test`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.settings import REPOSITORY

TARGETS = {
    *("env", "lock", "up", "down", "status", "demo", "test", "test-e2e", "test-cluster", "test-storage"),
    *("lint", "format", "bench", "doctor", "clean"),
}

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_the_menu_shows_every_target() -> None:
    shown = re.findall(r"^  make ([a-z0-9-]+)", make("help").stdout, flags=re.MULTILINE)
    assert set(shown) >= TARGETS
    assert make().stdout == make("help").stdout


def test_every_target_is_phony() -> None:
    """A file called `test` or `env` must not make a target look done."""
    phony = re.search(r"^\.PHONY: (.*)$", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) >= TARGETS


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with this Makefile, whose environments are stand-ins that end as their `code` file says."""
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "environments.py").touch()
    for name in ("orchestrator", "services", "ml"):
        python = tmp_path / ".venvs" / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\necho "{name} ran $*"\nexit $(cat "{tmp_path / name}" 2>/dev/null || echo 0)\n')
        python.chmod(0o755)
    (tmp_path / "tests" / "dags").mkdir(parents=True)
    return tmp_path


def test_all_suites_run_and_are_summed_up(clone: Path) -> None:
    done = make("test", folder=clone)
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.split("== summary")[1].strip().splitlines()] == ["passed"] * 3
    assert "orchestrator ran -m pytest -q tests/dags" in done.stdout


@pytest.mark.parametrize("name", ["orchestrator", "services", "ml"])
def test_a_suite_that_fails_fails_the_target_and_the_others_still_run(clone: Path, name: str) -> None:
    (clone / name).write_text("1")
    done = make("test", folder=clone)
    assert done.returncode != 0
    assert f"{name}: FAILED (1)" in done.stdout
    assert done.stdout.count(": passed in") == 2


def test_a_suite_without_tests_is_no_failure(clone: Path) -> None:
    (clone / "ml").write_text("5")
    done = make("test-e2e", folder=clone)
    assert done.returncode == 0
    assert "ml: nothing to run" in done.stdout
    assert "-m e2e" in done.stdout


def test_clean_asks_first(clone: Path) -> None:
    done = subprocess.run(["make", "clean"], cwd=clone, input="n\n", capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert (clone / ".venvs").exists()
    assert make("clean", "FORCE=1", folder=clone).returncode == 0
    assert not (clone / ".venvs").exists()
