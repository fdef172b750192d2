"""The two commands: what they print, and how they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.join import __main__ as command
from pipelines.errors import DataError, SpecError
from pipelines.spec import Spec, load_spec
from tests.components.join.shop_log import simulated
from tests.components.join.traffic_log import ROLLOUT, exposure, outcome, write_log


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path))
    monkeypatch.delenv("DAYBREAK_DATA", raising=False)
    return tmp_path


def test_a_snapshot_is_kept_and_its_digest_printed(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = load_spec("shop").model_dump()
    whole["rollout"] = {"unit": "user_id", "cohort_hours": 1}
    monkeypatch.setattr(command, "load_spec", lambda _: Spec.model_validate(whole))
    write_log(state / "exposures", [exposure(1, 1, 2)], [outcome(1, 1, 2.5, 3)])

    assert command.main(["snapshot", "shop", "--rollout", ROLLOUT, "--as-of", "2026-01-05T12:00Z"]) == 0

    printed = capsys.readouterr().out
    (path,) = (state / "rollouts" / "shop" / ROLLOUT / "snapshots").iterdir()
    assert str(path) in printed and "click_value: 1 units of control, 0 of treatment" in printed
    assert json.loads(path.read_text())["kpis"][0]["control"]["sy"] == 3
    assert command.main(["snapshot", "shop", "--rollout", "shop-8"]) == DataError.exit_code
    assert command.main(["snapshot", "shop", "--rollout", ROLLOUT, "--as-of", "now"]) == SpecError.exit_code


def test_a_day_is_written_where_the_pipeline_reads_it(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = simulated(100)
    write_log(state / "exposures", shop.exposures, shop.outcomes)

    assert command.main(["day", "shop", "--day", "2026-01-05"]) == 0

    assert f"{shop.rows.num_rows} rows of {shop.lists.num_rows} lists" in capsys.readouterr().out
    folder = state / "data" / "shop" / "day=2026-01-05"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("decisions.parquet", "impressions.parquet", "items.parquet")
    ]
    assert command.main(["day", "shop", "--day", "monday"]) == SpecError.exit_code
    assert command.main(["day", "shop", "--day", "2026-01-09"]) == DataError.exit_code
