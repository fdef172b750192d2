from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.shop.simulator import (
    CANDIDATES,
    EPSILON,
    HISTORY,
    decisions_table,
    impressions_table,
    items_table,
    main,
    purchases_table,
    simulate,
    write_day,
)
from pipelines.shop.world import POSITIONS, World
from pipelines.spec import load_spec

DAY = datetime.date(2026, 1, 5)
WORLD = World(7)


def later(days: int) -> datetime.date:
    return DAY + datetime.timedelta(days=days)


def logloss(probabilities: np.ndarray, clicks: np.ndarray) -> float:
    return float(-np.mean(np.where(clicks == 1, np.log(probabilities), np.log1p(-probabilities))))


def test_a_day_follows_from_the_seed_alone(tmp_path: Path) -> None:
    write_day(WORLD, DAY, rows=500, data=tmp_path / "one")
    write_day(World(7), later(1), rows=500, data=tmp_path / "two")
    write_day(World(7), DAY, rows=500, data=tmp_path / "two")
    for name in ("impressions.parquet", "purchases.parquet", "decisions.parquet", "items.parquet"):
        path = Path("shop") / f"day={DAY}" / name
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()
    assert simulate(World(8), DAY, rows=500).users.tolist() != simulate(WORLD, DAY, rows=500).users.tolist()


def test_days_of_a_write_leave_no_other_file(tmp_path: Path) -> None:
    write_day(WORLD, DAY, rows=100, data=tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "decisions.parquet",
        "impressions.parquet",
        "items.parquet",
        "purchases.parquet",
        "truth.parquet",
    ]


def test_the_table_has_the_columns_of_the_spec_and_not_the_truth() -> None:
    table = impressions_table(WORLD, simulate(WORLD, DAY, rows=200))
    assert set(load_spec("shop").data.columns) <= set(table.column_names)
    assert "click_probability" not in table.column_names
    assert str(table.schema.field("propensity").type) == "double"


def test_clicks_follow_the_truth() -> None:
    day = simulate(WORLD, DAY, rows=100_000)
    assert 0.04 < day.clicks.mean() < 0.12
    error = abs(day.clicks.mean() - day.probabilities.mean())
    assert error < 4 * np.sqrt(day.probabilities.mean() / len(day))


def test_propensities_are_exact() -> None:
    """A draw's inverse propensity averages to the number of items it was drawn from, at every place."""
    found = simulate(WORLD, DAY, rows=400_000).lists.propensities
    for place in range(POSITIONS):
        weights = 1 / found[:, place]
        assert weights.mean() == pytest.approx(CANDIDATES - place, abs=4 * weights.std() / np.sqrt(len(weights)))


def test_propensities_are_those_of_the_policy_that_is_logged() -> None:
    """From the candidates, the normaliser and the parameters of the log alone; the floor holds."""
    day = simulate(WORLD, DAY, rows=5000)
    rows, decisions = impressions_table(WORLD, day), decisions_table(day)
    candidates = np.array(decisions["candidate_ids"].to_pylist())
    position, propensity = rows["position"].to_numpy(), rows["propensity"].to_numpy()
    shown = candidates[np.repeat(np.arange(len(candidates)), POSITIONS), position]
    assert shown.tolist() == rows["item_id"].to_pylist()
    assert np.repeat(decisions["decision_id"].to_numpy(), POSITIONS).tolist() == rows["decision_id"].to_pylist()
    assert all(len(set(row)) == CANDIDATES for row in candidates.tolist())
    floor, normaliser = rows["propensity_floor"].to_numpy(), rows["normaliser"].to_numpy()
    assert (propensity >= floor).all() and (floor > 0).all()
    # The softmax's share of the next place follows from what this one took out of the normaliser.
    weight = (propensity - floor) / (1 - EPSILON) * normaliser
    left = (normaliser - weight).reshape(-1, POSITIONS)
    np.testing.assert_allclose(left[:, :-1], normaliser.reshape(-1, POSITIONS)[:, 1:], rtol=1e-9)


def test_a_click_is_worth_the_price_and_nothing_else_is() -> None:
    table = impressions_table(WORLD, simulate(WORLD, DAY, rows=2000))
    clicked, value, price = (table[name].to_numpy() for name in ("clicked", "click_value", "price"))
    assert (value == clicked * price).all() and value.sum() > 0
    items = items_table(WORLD)
    prices = dict(zip(items["item_id"].to_pylist(), items["price"].to_pylist(), strict=True))
    assert [prices[item] for item in table["item_id"].to_pylist()] == price.tolist()


def test_yesterdays_truth_is_measurably_worse_today() -> None:
    today = simulate(WORLD, later(4), rows=100_000)
    losses = [
        logloss(WORLD.click_probability(today.users, today.items, today.positions, day=later(4 - age)), today.clicks)
        for age in (0, 1, 3)
    ]
    assert losses[0] + 0.0005 < losses[1]
    assert losses[1] + 0.002 < losses[2]


def test_users_return() -> None:
    first, second = (set(simulate(WORLD, day, rows=20_000).users.tolist()) for day in (DAY, later(1)))
    assert len(first & second) > 0.3 * len(first)


def test_histories_are_of_the_past_only() -> None:
    """Whatever happens today, a user's history is the same in every row of the day."""
    day = simulate(WORLD, DAY, rows=5000)
    assert day.histories.shape == (5000, HISTORY)
    user = np.bincount(day.users).argmax()
    assert len(np.unique(day.histories[day.users == user], axis=0)) == 1
    assert (day.histories >= -1).all()
    assert (day.histories[:, 0] >= 0).mean() > 0.9


def test_purchases_become_known_late() -> None:
    table = purchases_table(WORLD, DAY, rows=50_000)
    delays = table.column("delay_days").to_numpy()
    assert set(delays.tolist()) == {0, 1, 2, 3}
    assert table.column("revenue").to_numpy().min() > 0
    impressions = set(simulate(WORLD, DAY, rows=50_000).row_keys.tolist())
    same_day = table.column("impression_id").to_numpy()[delays == 0]
    assert set(same_day.tolist()) <= impressions


@pytest.mark.parametrize("arguments", [["--start", "yesterday"], ["--days", "0"], ["--rows", "3"]])
def test_wrong_arguments_say_what_to_give(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path)]) == 78
    assert "Fix: " in capsys.readouterr().err


def test_the_command_writes_days(tmp_path: Path) -> None:
    assert main(["--start", "2026-02-28", "--days", "2", "--rows", "100", "--out", str(tmp_path)]) == 0
    days = sorted(path.parent.name for path in tmp_path.glob("shop/*/impressions.parquet"))
    assert days == ["day=2026-02-28", "day=2026-03-01"]
    assert pq.read_metadata(tmp_path / "shop" / days[0] / "impressions.parquet").num_rows == 100
