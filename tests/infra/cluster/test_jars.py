"""Jars are the pinned ones, or none."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from infra.cluster import jars
from pipelines.errors import ResourceError


@pytest.mark.parametrize(
    ("kind", "jar"), [("flink", "beam-runners-flink"), ("spark", "beam-runners-spark"), ("s3", "s3proxy")]
)
def test_every_jar_is_pinned_by_a_digest(kind: str, jar: str) -> None:
    pinned = jars.read_pins(kind)
    assert any(name.startswith(jar) for name in pinned)
    assert all(name.endswith(".jar") and len(digest) == 64 for name, digest in pinned.items())


def test_changed_missing_and_unknown_jars_are_refused(tmp_path: Path) -> None:
    pinned = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("a.jar", "b.jar")}
    for name in pinned:
        (tmp_path / name).write_text(name)
    jars.check(tmp_path, pinned)
    (tmp_path / "a.jar").write_text("another")
    (tmp_path / "b.jar").unlink()
    (tmp_path / "c.jar").touch()
    with pytest.raises(ResourceError, match=r"3 others or missing: a\.jar, b\.jar, c\.jar"):
        jars.check(tmp_path, pinned)


def test_without_maven_the_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match="apt install maven"):
        jars.fetch("flink", tmp_path / "cluster", report=print)
    assert not list((tmp_path / "cluster").iterdir())


def test_jars_that_are_there_are_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "jars").mkdir()
    digest = hashlib.sha256((jars.HERE / "flink" / "jars.sha256").read_bytes()).hexdigest()
    (tmp_path / "jars" / ".stamp").write_text(digest)
    assert jars.fetch("flink", tmp_path, report=print) == tmp_path / "jars"
