"""The features of the pipelines that ship: the transform node makes what TensorFlow Transform's own analysis makes."""

from __future__ import annotations

import datetime
import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.examples.records import read, row_groups
from pipelines.shop.simulator import write_day
from pipelines.shop.world import World
from pipelines.spec import pipeline_folder
from pipelines.taxi.features import BUCKETED
from tests.components.transform.reference import Reference
from tests.components.transform.running import transform, write_schema
from tests.components.transform.test_analysis import asset_map, tokens
from tests.pipelines.data_half import data_half

TRIPS = Path(os.environ.get("DAYBREAK_TEST_DATA", "nowhere")) / "taxi" / "taxi_trips.csv"
SPLITS = ("train", "eval")

pytestmark = pytest.mark.slow


def assert_same_as_stock(name: str, day: str, folder: Path, *, inexact: tuple[str, ...] = ()) -> None:
    """`inexact`: buckets, whose boundaries are a sketch's; one row of a hundred may lie beside one."""
    data_half(name, day, folder)
    schema = (pipeline_folder(name) / "schema.pbtxt").read_text()
    write_schema(folder, schema)
    made = transform(folder, SPLITS, f"pipelines.{name}.features.preprocessing_fn", folder / "transformed")
    batches = {split: [read(found) for found in row_groups(folder / "examples", split)] for split in SPLITS}
    function: Any = importlib.import_module(f"pipelines.{name}.features").preprocessing_fn
    stock = Reference(folder / "stock", batches["train"], schema, function)
    assert tokens(made.graph) == tokens(stock.graph)
    assert asset_map(made.graph) == asset_map(stock.graph)
    assert made.output.transformed_metadata.schema == stock.output.transformed_metadata.schema
    for split in SPLITS:
        found, expected = made.rows(split), stock.rows(batches[split])
        assert found.keys() == expected.keys()
        for column, values in expected.items():
            if column in inexact:
                assert np.mean(found[column] != values) <= 0.01, column
            else:
                np.testing.assert_allclose(found[column], values, rtol=1e-6, atol=1e-6, err_msg=column)


def test_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path / "state"))
    write_day(World(7), datetime.date(2026, 1, 5), rows=4000, data=tmp_path / "state" / "data")
    assert_same_as_stock("shop", "2026-01-05", tmp_path / "day")


@pytest.mark.skipif(not TRIPS.exists(), reason="DAYBREAK_TEST_DATA holds no taxi/taxi_trips.csv")
def test_taxi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBREAK_TAXI_CSV", str(TRIPS))
    assert_same_as_stock("taxi", "2014-06-01", tmp_path, inexact=BUCKETED)
