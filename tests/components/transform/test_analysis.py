"""The same vocabularies, constants and values as TensorFlow Transform's own analysis on Beam."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from tests.components.transform import features
from tests.components.transform.features import SCHEMA
from tests.components.transform.reference import Reference
from tests.components.transform.rows import batch
from tests.components.transform.running import Made, run

SPLITS = {"train": [batch(900, seed=1), batch(1300, seed=2), batch(1, seed=3)], "eval": [batch(300, seed=4)]}


def compared(folder: Path, preprocessing_fn: Callable[..., Any]) -> tuple[Made, Reference]:
    path = f"{preprocessing_fn.__module__}.{preprocessing_fn.__name__}"
    made = run(folder / "ours", SPLITS, SCHEMA, path)
    reference = Reference(folder / "stock", SPLITS["train"], SCHEMA, preprocessing_fn)
    assert made.output.transformed_metadata.schema == reference.output.transformed_metadata.schema
    assert made.output.raw_feature_spec().keys() == features.KINDS.keys()
    return made, reference


def tokens(graph: Path) -> dict[str, list[bytes]]:
    """Tokens of every asset, in order."""
    found = {}
    for path in sorted((graph / tft.TFTransformOutput.TRANSFORM_FN_DIR / "assets").iterdir()):
        zipped = path.suffix == ".gz"
        records = tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator() if zipped else [path.read_bytes()]
        found[path.name] = list(records)
    return found


def assert_equal_values(made: Made, reference: Reference) -> None:
    for split, batches in SPLITS.items():
        ours, stock = made.rows(split), reference.rows(batches)
        assert ours.keys() == stock.keys()
        for name in stock:
            np.testing.assert_allclose(ours[name], stock[name], rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "preprocessing_fn", [features.moments, features.vocabularies, features.nothing_analyzed, features.annotated]
)
def test_vocabularies_and_values_are_those_of_stock(tmp_path: Path, preprocessing_fn: Callable[..., Any]) -> None:
    made, reference = compared(tmp_path, preprocessing_fn)
    if preprocessing_fn is not features.nothing_analyzed and preprocessing_fn is not features.moments:
        assert tokens(made.graph) == tokens(reference.graph)
        assert asset_map(made.graph) == asset_map(reference.graph)
    assert_equal_values(made, reference)


def asset_map(graph: Path) -> Any:
    names = tft.TFTransformOutput
    return json.loads((graph / names.TRANSFORMED_METADATA_DIR / names.ASSET_MAP).read_text())


def test_buckets_differ_by_the_error_of_the_sketch_only(tmp_path: Path) -> None:
    made, reference = compared(tmp_path, features.quantiles)
    for name, epsilon in {"bucket": 0.01, "given": 0.01}.items():
        ours, stock = made.rows("train")[name], reference.rows(SPLITS["train"])[name]
        boundaries = len(np.unique(stock)) - 1
        assert np.mean(ours != stock) <= 2 * epsilon * boundaries, name


def test_phases_build_on_each_other(tmp_path: Path) -> None:
    made, reference = compared(tmp_path, features.phases)
    assert tokens(made.graph)["city"] == tokens(reference.graph)["city"]
    assert_equal_values(made, reference)
