"""The join of rows with the log of lists, and what models are given to score."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.business.log import DayLog, Lists, log_fingerprint
from components.business.weighing import list_sums
from components.inference.off_policy import Total
from pipelines.errors import DataError
from pipelines.spec import Data, Kpi, Policy, Source

DAY = datetime.date(2026, 1, 5)
COLUMNS = {
    "decision_id": "int",
    "user_id": "string",
    "hour": "int",
    "item_id": "string",
    "price": "float",
    "recent": "strings",
    "position": "int",
    "propensity": "float",
    "propensity_floor": "float",
    "clicked": "int",
}
ROWS = {
    "decision_id": [7, 7, 9, 9, 11],
    "user_id": ["u1", "u1", "u2", "u2", "u3"],
    "hour": [3, 3, 5, 5, 6],
    "item_id": ["a", "b", "c", "a", "a"],
    "price": [1.0, 2.0, 3.0, 1.0, 1.0],
    "recent": [["a"], ["a"], [], [], None],
    "position": [0, 1, 0, 1, 0],
    "propensity": [0.5, 0.25, 0.5, 1.0, 0.5],
    "propensity_floor": [0.1, 0.1, 0.1, 0.0, 0.1],
    "clicked": [1, 0, 1, 1, 0],
}


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    folder = tmp_path / f"day={DAY}"
    folder.mkdir()
    decisions = {"decision_id": [9, 7], "candidate_ids": [["c", "a"], ["a", "b", "c"]], "policy": ["p", "p"]}
    pq.write_table(pa.table(decisions), folder / "decisions.parquet")
    pq.write_table(
        pa.table({"item_id": ["a", "b", "c"], "price": [1.0, 2.0, 3.0], "stock": [1, 1, 1]}), folder / "items.parquet"
    )
    return Policy(decisions=f"{tmp_path}/day={{day}}/decisions.parquet", items=f"{tmp_path}/day={{day}}/items.parquet")


@pytest.fixture
def data() -> Data:
    source = Source(format="parquet", path="x/{day}")
    return Data(source=source, columns=COLUMNS, label="clicked", split_key="user_id")


def open_lists(policy: Policy, data: Data, **changes: list[object]) -> tuple[DayLog, Lists]:
    log = DayLog.open(policy, data, DAY)
    kinds = {"decision_id": pa.int64(), "recent": pa.large_list(pa.large_string())}
    rows = pa.table({name: pa.array(values, kinds.get(name)) for name, values in (ROWS | changes).items()})
    [lists] = log.lists(rows.take(pa.array([4, 3, 0, 2, 1])))
    return log, lists


def test_each_list_is_joined_with_its_candidates_whatever_the_order_of_rows(policy: Policy, data: Data) -> None:
    log, lists = open_lists(policy, data)
    assert log.lost == 1  # the list 11 is not in the log
    assert lists.candidates.tolist() == [[2, 0, -1], [0, 1, 2]]
    found = sorted(zip(lists.rows["item_id"].to_pylist(), *(place.tolist() for place in lists.places), strict=True))
    assert found == [("a", 0, 1), ("a", 1, 0), ("b", 1, 1), ("c", 0, 0)]


def test_models_score_every_candidate_at_the_top_in_the_context_of_its_list(policy: Policy, data: Data) -> None:
    _, lists = open_lists(policy, data)
    batch = lists.candidate_rows(COLUMNS)
    found = {name: batch.column(name).to_pylist() for name in COLUMNS}
    assert [item for [item] in found["item_id"]] == [b"c", b"a", b"a", b"b", b"c"]
    assert [price for [price] in found["price"]] == [3.0, 1.0, 1.0, 2.0, 3.0]
    assert [hour for [hour] in found["hour"]] == [5, 5, 3, 3, 3]
    assert found["recent"] == [[], [], [b"a"], [b"a"], [b"a"]]
    assert [position for [position] in found["position"]] == [0] * 5
    table = lists.as_table(np.arange(5.0))
    assert table.tolist() == [[0.0, 1.0, -np.inf], [2.0, 3.0, 4.0]]


def test_rows_that_disagree_with_their_list_are_left_out_and_counted(policy: Policy, data: Data) -> None:
    log, lists = open_lists(policy, data, position=[1, 1, 0, 5, 0])
    assert log.lost == 3
    assert sorted(lists.rows["item_id"].to_pylist()) == ["b", "c"]


def test_a_candidate_that_the_catalogue_lacks_takes_its_list_with_it(policy: Policy, data: Data) -> None:
    items = Path(policy.items.replace("{day}", str(DAY)))
    pq.write_table(pa.table({"item_id": ["a", "c"], "price": [1.0, 3.0]}), items)
    log, lists = open_lists(policy, data)
    assert log.lost == 3
    assert set(lists.rows["decision_id"].to_pylist()) == {9}


def test_sums_are_those_of_the_policy_by_hand(policy: Policy, data: Data) -> None:
    _, lists = open_lists(policy, data)
    policy = policy.model_copy(update={"score": "number", "temperature": 1.0, "epsilon": 0.2})
    kpi = Kpi(name="value", numerator="price", denominator="hour", margin=0)
    new, champion = (lists.as_table(np.array(one)) for one in ([0.3, 0.1, 0.5, 0.2, 0.7], [0.1] * 5))
    sums = list_sums(lists, kpi, policy, unit="user_id", new=new, champion=champion)
    first, second = np.exp([0.3, 0.1]), np.exp([0.5, 0.2, 0.7])
    chances = {
        "c": 0.8 * first[0] / first.sum() + 0.1,
        "a last": 1.0,
        "a": 0.8 * second[0] / second.sum() + 0.2 / 3,
        "b": 0.8 * second[1] / second[1:].sum() + 0.1,
    }
    totals = sums.values.sum(axis=0)
    assert len(sums.units) == 2
    weights = [chances["a"] / 0.5, chances["b"] / 0.25, chances["c"] / 0.5, chances["a last"] / 1.0]
    assert totals[Total.W] == pytest.approx(sum(weights), rel=1e-12)
    assert totals[Total.W_REWARD] == pytest.approx(np.dot(weights, [1, 2, 3, 1]), rel=1e-12)
    assert totals[Total.BASE] == 3 + 3 + 5 + 5
    assert totals[Total.V] == pytest.approx((1 / 3) / 0.5 + 0.5 / 0.25 + 0.5 / 0.5 + 1.0)
    assert totals[Total.UNSUPPORTED_W] == pytest.approx(1 - chances["a last"])
    assert totals[Total.GUESS] == pytest.approx(0.4)


def test_another_catalogue_is_another_log(policy: Policy, data: Data) -> None:
    before = log_fingerprint(policy, data, DAY)
    assert log_fingerprint(policy, data, DAY) == before
    items = Path(policy.items.replace("{day}", str(DAY)))
    pq.write_table(pa.table({"item_id": ["a"], "price": [1.0]}), items)
    assert log_fingerprint(policy, data, DAY) != before


def test_a_log_that_is_missing_or_has_other_columns_is_told(policy: Policy, data: Data) -> None:
    with pytest.raises(DataError, match=r"(?s)Received: decision_id, candidate_ids, policy.*Fix: log lists"):
        DayLog.open(policy.model_copy(update={"candidates": "lists"}), data, DAY)
    with pytest.raises(DataError, match="no data of 2026-01-06"):
        DayLog.open(policy, data, DAY + datetime.timedelta(days=1))
    Path(policy.items.replace("{day}", str(DAY))).write_bytes(b"no parquet")
    with pytest.raises(DataError, match="a file of the log cannot be read"):
        DayLog.open(policy, data, DAY)
