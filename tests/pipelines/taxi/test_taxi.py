"""The taxi pipeline on real trips: contract, examples, curated schema, features and model."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv

from components.decision.report import Verdict
from components.training.model_inputs import ModelInputs
from pipelines.spec import load_spec
from pipelines.taxi.features import BUCKETED, BUCKETS, CATEGORIES, OUT_OF_VOCABULARY, SCALED, VOCABULARIES
from pipelines.taxi.model import build_model
from tests.pipelines.data_half import (
    DataHalf,
    apply,
    data_half,
    encoded,
    examples_of,
    schema_of,
    split_statistics,
    statistics_of,
    transform,
)

TRIPS = Path(os.environ.get("DAYBREAK_TEST_DATA", "nowhere")) / "taxi" / "taxi_trips.csv"
DAYS = ("2014-06-01", "2016-12-30")
YEAR_SECS = 365 * 86_400

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TRIPS.exists(), reason="DAYBREAK_TEST_DATA holds no taxi/taxi_trips.csv"),
]


def end_of(day: str) -> int:
    """Seconds since 1970 at which the day is over, UTC."""
    return int(np.datetime64(day, "s").astype(int)) + 86_400


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, DataHalf]]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("DAYBREAK_TAXI_CSV", str(TRIPS))
        yield {day: data_half("taxi", day, tmp_path_factory.mktemp(day)) for day in DAYS}


@pytest.fixture(scope="module")
def transformed(days: dict[str, DataHalf], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, pa.Table]:
    rows = days[DAYS[0]].rows
    return *transform(encoded(rows, "taxi"), "taxi", tmp_path_factory.mktemp("transform")), rows


@pytest.mark.parametrize("day", DAYS)
def test_the_year_before_a_day_fulfils_the_contract(days: dict[str, DataHalf], day: str) -> None:
    half = days[day]
    assert half.report.verdict is Verdict.ACCEPTED, half.report.reason
    with TRIPS.open(newline="") as file:
        times = [int(row["trip_start_timestamp"]) for row in csv.DictReader(file)]
    end = end_of(day)
    assert half.rows.num_rows + half.quarantined == sum(end - YEAR_SECS <= time < end for time in times)
    assert half.quarantined <= 0.02 * half.rows.num_rows


@pytest.mark.parametrize("day", DAYS)
def test_rows_are_of_the_window(days: dict[str, DataHalf], day: str) -> None:
    times = days[day].rows.column("trip_start_timestamp").to_numpy()
    assert times.max() < end_of(day)
    assert times.min() >= end_of(day) - YEAR_SECS


def test_no_row_is_lost_on_the_way_to_examples(days: dict[str, DataHalf]) -> None:
    half = days[DAYS[0]]
    counts = {split: examples_of(half.examples, split).num_rows for split in ("train", "eval")}
    assert sum(counts.values()) == half.rows.num_rows
    assert counts["eval"] / half.rows.num_rows == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("split", ["train", "eval"])
def test_real_days_agree_with_the_curated_schema(days: dict[str, DataHalf], day: str, split: str) -> None:
    schema = schema_of("taxi")
    found = tfdv.validate_statistics(split_statistics(days[day], split), schema)
    assert {name: info.description for name, info in found.anomaly_info.items()} == {}


def test_the_schema_notices_a_payment_type_nobody_knows(days: dict[str, DataHalf]) -> None:
    rows = days[DAYS[0]].rows
    kinds = pa.array(["Barter"] * 500 + rows.column("payment_type").to_pylist()[500:])
    changed = rows.set_column(rows.column_names.index("payment_type"), "payment_type", kinds)
    schema = schema_of("taxi")
    found = tfdv.validate_statistics(statistics_of(changed, "taxi"), schema)
    assert list(found.anomaly_info) == ["payment_type"]


def test_the_label_is_a_tip_above_a_fifth_of_the_fare(transformed: tuple[Any, Any, pa.Table]) -> None:
    _, features, rows = transformed
    # tf.Examples hold float32, so that is where the comparison is exact.
    tips, fares = (rows.column(name).to_numpy().astype(np.float32) for name in ("tips", "fare"))
    np.testing.assert_array_equal(features["tips"], tips > np.float32(0.2) * fares)
    assert 0.1 < features["tips"].mean() < 0.4


def test_features_are_dense_finite_and_within_their_tables(transformed: tuple[Any, Any, pa.Table]) -> None:
    output, features, rows = transformed
    assert all(values.shape == (rows.num_rows,) for values in features.values())
    for name in SCALED:
        assert np.isfinite(features[name]).all()
        assert abs(features[name].mean()) < 1e-3
    sizes = dict.fromkeys(BUCKETED, BUCKETS) | CATEGORIES
    sizes |= {name: output.vocabulary_size_by_name(name) + OUT_OF_VOCABULARY for name in VOCABULARIES}
    for name, size in sizes.items():
        assert features[name].min() >= 0
        assert features[name].max() < size


def test_missing_and_strange_values_have_features_too(transformed: tuple[Any, Any, pa.Table]) -> None:
    output, _, rows = transformed
    strange = rows.slice(0, 2).to_pydict()
    strange |= {name: [None, None] for name in (*BUCKETED, "company", "trip_seconds", "dropoff_census_tract")}
    strange |= {"pickup_community_area": [-3, 9999], "payment_type": ["Barter", ""]}
    features = apply(output, encoded(pa.table(strange, schema=rows.schema), "taxi"))
    assert features["pickup_community_area"].tolist() == [0, 0]
    known = output.vocabulary_size_by_name("payment_type")
    assert all(known <= identity < known + OUT_OF_VOCABULARY for identity in features["payment_type"])


def test_the_model_learns_from_them(transformed: tuple[Any, Any, pa.Table]) -> None:
    output, features, _ = transformed
    keras.utils.set_random_seed(1)
    inputs = ModelInputs.from_transform(output, label="tips", hyperparameters=load_spec("taxi").train.hyperparameters)
    model = build_model(inputs)
    columns = {name: values[:, None] for name, values in features.items() if name != "tips"}
    first = model.evaluate(columns, features["tips"], verbose=0, batch_size=256)[0]
    for _ in range(2):
        for start in range(0, len(features["tips"]), 64):
            part = slice(start, start + 64)
            model.train_on_batch({name: values[part] for name, values in columns.items()}, features["tips"][part])
    assert model.evaluate(columns, features["tips"], verbose=0, batch_size=256)[0] < 0.8 * first
