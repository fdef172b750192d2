"""Which Python the environments are built on, and when they are built again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from infra import environments
from infra.environments import TARGETS, Missing, choose_target
from pipelines.settings import REPOSITORY

OLD, NEW = TARGETS


@pytest.fixture
def pythons(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The interpreters of a machine, by version; to be filled by the test."""
    known: dict[str, str] = {}
    monkeypatch.setattr(environments, "find_python", lambda version, asked="": known.get(version))
    monkeypatch.setattr(environments, "_version_of", lambda path: next((v for v, p in known.items() if p == path), ""))
    return known


def test_python_311_is_taken_on_any_glibc_and_313_where_it_can_run(pythons: dict[str, str]) -> None:
    pythons["3.13"] = "/b/python3.13"
    assert choose_target((2, 39)) == (NEW, "/b/python3.13")
    pythons["3.11"] = "/a/python3.11"
    assert choose_target((2, 28)) == (OLD, "/a/python3.11")
    assert choose_target((2, 39)) == (OLD, "/a/python3.11")


def test_the_interpreter_that_is_asked_for_decides(pythons: dict[str, str]) -> None:
    pythons.update({"3.11": "/a/python3.11", "3.13": "/b/python3.13"})
    assert choose_target((2, 41), asked="/b/python3.13") == (NEW, "/b/python3.13")


@pytest.mark.parametrize("glibc", [None, (2, 17)])
def test_a_c_library_without_wheels_is_refused(glibc: tuple[int, int] | None, pythons: dict[str, str]) -> None:
    pythons["3.11"] = "/a/python3.11"
    with pytest.raises(Missing, match="2.28"):
        choose_target(glibc)


def test_python_313_alone_is_refused_on_an_older_glibc(pythons: dict[str, str]) -> None:
    pythons["3.13"] = "/b/python3.13"
    with pytest.raises(Missing, match=r"Python 3\.11 is needed(.|\n)*Fix:"):
        choose_target((2, 36))


def test_a_shim_that_does_not_start_is_no_python(tmp_path: Path) -> None:
    shim = tmp_path / "python3.11"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert environments.find_python("2.0", asked=str(shim)) is None
    version = "{}.{}".format(*sys.version_info)
    assert environments.find_python(version, asked=sys.executable) == sys.executable


def test_a_changed_lock_means_building_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else does: the second call only compares."""
    lock = tmp_path / "services-py311.txt"
    lock.write_text("one==1\n")
    built: list[str] = []
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    monkeypatch.setattr(environments, "VENVS", tmp_path / "venvs")
    monkeypatch.setattr(environments, "choose_target", lambda glibc, asked="": (OLD, sys.executable))

    def build_one(name: str, **_: object) -> None:
        (tmp_path / "venvs" / name).mkdir(parents=True, exist_ok=True)
        built.append(name)

    monkeypatch.setattr(environments, "_build_one", build_one)
    for _ in range(2):
        environments.build(["services"])
    assert built == ["services"]
    lock.write_text("one==2\n")
    environments.build(["services"])
    assert built == ["services", "services"]


def test_an_interrupted_build_does_not_look_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "services-py311.txt").write_text("one==1\n")
    stamp = tmp_path / "venvs" / "services" / ".daybreak-stamp"
    stamp.parent.mkdir(parents=True)
    stamp.write_text("of another lock")
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    monkeypatch.setattr(environments, "VENVS", tmp_path / "venvs")
    monkeypatch.setattr(environments, "choose_target", lambda glibc, asked="": (OLD, sys.executable))

    def interrupted(name: str, **_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(environments, "_build_one", interrupted)
    with pytest.raises(KeyboardInterrupt):
        environments.build(["services"])
    assert not stamp.exists()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.suffix)
@pytest.mark.parametrize("name", environments.NAMES)
def test_every_locked_requirement_is_pinned_and_hashed_and_names_no_host(
    name: str, target: environments.Target
) -> None:
    text = (REPOSITORY / "requirements" / f"{name}-{target.suffix}.txt").read_text()
    assert "://" not in "".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert "--index-url" not in text
    packages = [
        block for block in text.replace("\\\n", " ").splitlines() if block and not block.lstrip().startswith("#")
    ]
    assert packages
    assert all("==" in block and "--hash=sha256:" in block for block in packages)


def test_only_what_installing_reads_means_building_again() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text()
    kept = environments.installed_sections(text)
    assert "[project.scripts]" in kept
    assert "[tool.setuptools" in kept
    assert "[tool.ruff" not in kept
    assert environments.installed_sections(text.replace("line-length = 120", "line-length = 100")) == kept
    assert environments.installed_sections(text.replace('version = "0.1.0"', 'version = "9"')) != kept
