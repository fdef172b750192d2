"""Javas of all kinds: each is a program that says what the real one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.java import find_java


def installed(folder: Path, *, version: str, modules: str = "java.base@17 jdk.compiler@17") -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\n[ $1 = -version ] && echo 'openjdk version \"{version}\"' >&2 || echo {modules}\n")
    java.chmod(0o755)
    return java


def test_a_jdk_of_17_is_fine(tmp_path: Path) -> None:
    java = installed(tmp_path, version="17.0.15")
    assert find_java({"PATH": str(java.parent)}) == (str(java), "")


@pytest.mark.parametrize("version", ["1.8.0_392", "21.0.2", "nonsense"])
def test_other_versions_are_named(version: str, tmp_path: Path) -> None:
    java = installed(tmp_path, version=version)
    assert "needed: 11 to 17" in find_java({"PATH": str(java.parent)})[1]


def test_a_runtime_without_compiler_is_not_enough(tmp_path: Path) -> None:
    java = installed(tmp_path, version="17.0.1", modules="java.base@17")
    assert "needed: a JDK" in find_java({"PATH": str(java.parent)})[1]


def test_java_home_wins_over_the_path(tmp_path: Path) -> None:
    wanted = installed(tmp_path / "home", version="11.0.2")
    other = installed(tmp_path / "other", version="17.0.2")
    assert find_java({"PATH": str(other.parent), "JAVA_HOME": str(tmp_path / "home")}) == (str(wanted), "")
    assert "JAVA_HOME=/nowhere" in find_java({"JAVA_HOME": "/nowhere"})[1]


def test_no_java_is_said(tmp_path: Path) -> None:
    assert find_java({"PATH": str(tmp_path)}) == ("", "no `java` on the path")
