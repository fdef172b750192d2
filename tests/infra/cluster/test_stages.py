"""The Beam stages of a shop day and a taxi day: the same bytes on a cluster as in this process.

`make test` runs the shop day on Flink, a few thousand rows; `make test-cluster` everything.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.infra.cluster.conftest import TRIPS, Running
from tests.infra.cluster.interruption import contents

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROWS = 3000
MANY = 40
"""Files: two splits of nine row groups at three stages, less the few that get no rows, and the graph."""


def check_day(cluster: Running, folder: Path, *options: str) -> None:
    code, said = cluster.stages(folder, "--on", "local", cluster.kind, *options)
    assert code == 0, said
    local = contents(folder / "local")
    assert len(local) > MANY, sorted(local)
    assert contents(folder / cluster.kind) == local


@pytest.fixture(params=["flink", pytest.param("spark", marks=pytest.mark.e2e)])
def cluster(request: pytest.FixtureRequest) -> Running:
    found: Running = request.getfixturevalue(request.param)
    return found


def test_a_shop_day(cluster: Running, tmp_path: Path) -> None:
    check_day(cluster, tmp_path, "--rows", str(ROWS))


@pytest.mark.e2e
@pytest.mark.skipif(not TRIPS.exists(), reason="DAYBREAK_TEST_DATA holds no taxi/taxi_trips.csv")
def test_a_taxi_day(cluster: Running, tmp_path: Path) -> None:
    check_day(cluster, tmp_path, "--pipeline", "taxi", "--rows", str(ROWS))


@pytest.mark.e2e
def test_an_analyzer_without_a_kernel_on_flink(flink: Running, tmp_path: Path) -> None:
    """The stock analysis of TensorFlow Transform, some dozen Beam stages."""
    features = "tests.infra.cluster.per_key.preprocessing_fn"
    check_day(flink, tmp_path, "--rows", str(ROWS), "--features", features)
