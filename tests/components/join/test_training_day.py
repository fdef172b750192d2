"""A day that was logged is the day that happened, and its propensities are those of the policy that drew it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.exposures.records import SHADOW
from components.join.lists import Shape
from components.join.training_day import Day, Paths, day_paths, write_day
from pipelines.errors import DataError, SpecError
from pipelines.settings import Settings
from pipelines.spec import Spec, load_spec
from tests.components.join.shop_log import DAY, Simulated, simulated
from tests.components.join.traffic_log import BEAM, write_log


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load_spec("shop")


@pytest.fixture(scope="module")
def shop() -> Simulated:
    return simulated(6_000)


def read(path: Path) -> pa.Table:
    return pq.read_table(path, partitioning=None)


def make(spec: Spec, log: Path, state: Path, *, threads: int = 1) -> tuple[Day, Paths]:
    settings = Settings(home=state, state=state)
    arguments = [*BEAM, f"--row_group_threads={threads}"]
    return write_day(spec, log=log, day=DAY, settings=settings, beam_args=arguments), day_paths(spec, DAY, settings)


@pytest.fixture(scope="module")
def made(spec: Spec, shop: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Paths:
    folder = tmp_path_factory.mktemp("day")
    write_log(folder / "log", shop.exposures, shop.outcomes)
    return make(spec, folder / "log", folder)[1]


def test_rows_lists_and_items_are_those_of_the_day(made: Paths, shop: Simulated) -> None:
    # The simulator draws seconds, the log sorts by time and id: the same rows in another order.
    found = read(made.rows).sort_by([("decision_id", "ascending"), ("position", "ascending")])
    assert found.drop_columns(["impression_id"]).equals(
        shop.rows.drop_columns(["impression_id"]).select(found.drop_columns(["impression_id"]).column_names)
    )
    assert set(found.column_names) == set(shop.rows.column_names)
    assert read(made.lists).sort_by("decision_id").equals(shop.lists)
    items = read(made.items)
    seen = {item for ids in shop.lists.column("candidate_ids").to_pylist() for item in ids}
    expected = [row for row in shop.items.to_pylist() if row["item_id"] in seen]
    assert items.to_pylist() == sorted(expected, key=lambda row: row["item_id"])


def test_order_duplicates_late_files_and_threads_change_no_byte(
    made: Paths, spec: Spec, shop: Simulated, tmp_path: Path
) -> None:
    draw = random.Random(5)
    exposures = [*shop.exposures, *draw.sample(shop.exposures, 100)]
    outcomes = [*shop.outcomes, *draw.sample(shop.outcomes, 20)]
    draw.shuffle(exposures)
    draw.shuffle(outcomes)
    write_log(tmp_path / "log", exposures[::2], outcomes[::2], files=3, name="z")
    write_log(tmp_path / "log", exposures[1::2], outcomes[1::2], name="late")

    _, paths = make(spec, tmp_path / "log", tmp_path, threads=3)

    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in made]


def test_what_nobody_chose_or_saw_is_not_in_it(spec: Spec, shop: Simulated, tmp_path: Path) -> None:
    kept, *others = shop.exposures[:6]
    changes: list[dict[str, object]] = [
        {"fallback": "timeout"},
        {"arm": SHADOW},
        {"kind": "predict"},
        {"model": "other"},
        {"candidates": "[{"},
    ]
    changed = [msgspec.structs.replace(one, **change) for one, change in zip(others, changes, strict=True)]
    write_log(tmp_path / "log", [kept, *changed], shop.outcomes)

    day, paths = make(spec, tmp_path / "log", tmp_path)

    assert (day.lists, day.rows, day.left_out) == (1, len(kept.propensities), 1)
    assert read(paths.lists).column("decision_id").to_pylist() == [int(kept.decision_id)]


def test_an_id_of_letters_becomes_a_number_where_the_spec_says_so(spec: Spec, shop: Simulated, tmp_path: Path) -> None:
    one = msgspec.structs.replace(shop.exposures[0], decision_id="9f86d081884c7d65")
    write_log(tmp_path / "log", [one], [])

    _, paths = make(spec, tmp_path / "log", tmp_path)

    rows, lists = read(paths.rows), read(paths.lists)
    assert rows.schema.field("decision_id").type == pa.int64()
    assert set(rows.column("decision_id").to_pylist()) == set(lists.column("decision_id").to_pylist())
    assert rows.column("clicked").to_pylist() == [0] * rows.num_rows


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        *(("hour", 1.5, None), ("hour", 2.0, 2), ("hour", 10**30, None), ("hour", "7", None)),
        *(("recent_items", "abc", None), ("recent_items", ["a", 3], ["a", "3"]), ("country", {}, None)),
        *(("country", 49, "49"), ("query", None, None)),
    ],
    ids=str,
)
def test_what_is_of_another_type_is_missing(column: str, value: object, expected: object, spec: Spec) -> None:
    shape = Shape.of(spec, spec.policy)  # type: ignore[arg-type]

    # Alone, and among values that are as they should be: what a row says does not depend on its neighbours.
    plain = {"hour": 3, "recent_items": ["i1"], "country": "de", "query": "x"}[column]
    assert shape.typed(column, [value]).to_pylist() == [expected]
    assert shape.typed(column, [value, plain]).to_pylist() == [expected, plain]


def test_a_day_without_lists_is_refused(spec: Spec, shop: Simulated, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of shop on 2026-01-05"):
        make(spec, tmp_path / "log", tmp_path)
    write_log(tmp_path / "log", [msgspec.structs.replace(shop.exposures[0], kind="predict")], [])
    with pytest.raises(DataError, match="none of shop on 2026-01-05"):
        make(spec, tmp_path / "log", tmp_path)
    assert not list(tmp_path.glob("log/.day-*"))


def test_a_pipeline_without_lists_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="policy"):
        day_paths(load_spec("taxi"), DAY, Settings(home=tmp_path, state=tmp_path))


POLICIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "even": lambda prices: np.ones(len(prices)),
    "cheap ones": lambda prices: np.exp(-prices / prices.mean()),
    "mostly the dearest": lambda prices: np.where(prices == prices.max(), len(prices) / 4, 1.0),
}


def weights(made: Paths, policy: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """pi_new / propensity of each row: which of those left it draws."""
    rows = read(made.rows).select(["decision_id", "position", "propensity"]).to_pylist()
    price = {row["item_id"]: row["price"] for row in read(made.items).to_pylist()}
    lists = {row["decision_id"]: row["candidate_ids"] for row in read(made.lists).to_pylist()}
    found = []
    for row in rows:
        left = np.array([price[item] for item in lists[row["decision_id"]][row["position"] :]])
        chances = policy(left)
        found.append(chances[0] / chances.sum() / row["propensity"])
    return np.array(found)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_the_mean_weight_of_any_policy_is_one(name: str, made: Paths) -> None:
    found = weights(made, POLICIES[name])

    error = found.std() / np.sqrt(len(found))
    assert error < 0.03
    assert abs(found.mean() - 1) < 4 * error


def test_ips_of_the_policy_that_drew_is_the_mean_reward(made: Paths, shop: Simulated) -> None:
    rows = read(made.rows)
    logged = {int(one.decision_id): one for one in shop.exposures}
    chances = []
    for row in rows.select(["decision_id", "position", "normaliser"]).to_pylist():
        one, place = logged[row["decision_id"]], row["position"]
        softmax = np.exp(one.scores[place] / one.temperature) / row["normaliser"]
        chances.append((1 - one.epsilon) * softmax + one.epsilon / (len(one.candidate_ids) - place))
    propensities, rewards = rows.column("propensity").to_numpy(), rows.column("clicked").to_numpy()

    weights_of_itself = np.array(chances) / propensities

    np.testing.assert_allclose(weights_of_itself, 1, rtol=1e-12)
    assert rewards.sum() == sum(one.value for one in shop.outcomes if one.name == "clicked") > 0
    assert np.mean(weights_of_itself * rewards) == pytest.approx(rewards.mean(), rel=1e-12)
