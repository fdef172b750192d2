"""The demo whole: the shop learns from its gateway's log; users promote one candidate and send another back."""

from __future__ import annotations

import os
import shutil

import pyarrow.parquet as pq
import pytest

from infra.demo import Demo
from tests.infra.installation import Installation, reachable_folder

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]


def test_one_rollout_is_promoted_and_one_rolled_back_by_live_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = reachable_folder()
    installation = Installation.in_folder(folder / "state", without=())
    said: list[str] = []
    for name, value in installation.environ().items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    try:
        assert Demo(installation.configuration, report=said.append).run() == 0, "\n".join(said)
        for day in ("2026-01-06", "2026-01-07"):
            path = installation.settings.data / "shop" / f"day={day}" / "impressions.parquet"
            policies = set(pq.read_table(path, columns=["policy"], partitioning=None)["policy"].to_pylist())
            assert policies == {"softmax-probability-t2.5-e0.2"}  # a gateway's, not the simulator's
        assert any("/rollouts" in line for line in said)
    finally:
        installation.down()
        shutil.rmtree(folder, ignore_errors=True)
