"""A real Spark: master, two workers, the job server as the driver."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.infra.cluster.conftest import Running
from tests.infra.cluster.interruption import check

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_the_bytes_are_those_of_the_in_memory_runner(spark: Running, tmp_path: Path) -> None:
    for kind in ("local", "spark"):
        code, said = spark.aggregate(kind, tmp_path / kind)
        assert code == 0, said
    assert (tmp_path / "spark").read_bytes() == (tmp_path / "local").read_bytes() != b""


def test_an_error_of_user_code_arrives_in_its_own_words(spark: Running, tmp_path: Path) -> None:
    code, said = spark.aggregate("spark", tmp_path / "out", "--fail")
    assert code == 1
    assert "ValueError: the user's own words about" in said


def test_an_executor_killed_during_statistics(spark: Running, day: Path, tmp_path: Path) -> None:
    def executor(log: Path) -> None:
        [found, *_] = psutil.Process(spark.pid("worker-1")).children()
        found.kill()

    check(spark, day, tmp_path, "statistics", executor)
