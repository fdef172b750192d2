from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.shop.tracking_error import main, mislabel


def table() -> pa.Table:
    draw = np.random.default_rng(3)
    price = np.exp(draw.normal(3.2, 0.7, 4000))
    clicked = (draw.random(4000) < 0.07).astype(np.int64)
    return pa.table({"item_id": np.arange(4000), "price": price, "clicked": clicked, "click_value": clicked * price})


def test_as_many_clicks_but_on_cheap_items() -> None:
    before, after = table(), mislabel(table())
    assert after.schema.equals(before.schema)
    assert after["clicked"].to_numpy().sum() == before["clicked"].to_numpy().sum()
    dear = before["price"].to_numpy() > np.median(before["price"].to_numpy())
    assert after["clicked"].to_numpy()[dear].sum() < 0.2 * before["clicked"].to_numpy()[dear].sum()
    assert np.array_equal(after["click_value"].to_numpy(), after["clicked"].to_numpy() * after["price"].to_numpy())


def test_the_file_of_a_day_is_replaced_and_a_missing_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path))
    path = tmp_path / "data" / "shop" / "day=2026-01-07" / "impressions.parquet"
    assert main(["--day", "2026-01-07"]) != 0
    assert "components.join day" in capsys.readouterr().err
    path.parent.mkdir(parents=True)
    pq.write_table(table(), path)
    assert main(["--day", "2026-01-07"]) == 0
    assert pq.read_table(path, partitioning=None).equals(mislabel(table()))
