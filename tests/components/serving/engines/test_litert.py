from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.compression.litert_paths import FOLDER, MODEL_FILE
from components.serving.engine import TensorFlowEngine
from components.serving.engines.litert import LitertEngine
from components.serving.engines.loading import load_engine
from pipelines.errors import SpecError
from tests.components.compression.conftest import MakeWorkshop, groups, job, make_workshop, trained  # noqa: F401
from tests.components.serving.test_engine import structs
from tests.components.training.conftest import Transformed, example

TOLERANCE = 0.03
"""Of the variant, as its own tests have it."""


@pytest.fixture(scope="module")
def variant(make_workshop: MakeWorkshop, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    path = tmp_path_factory.mktemp("litert") / "model"
    make_workshop().build("litert_dynamic", path)
    return path


@pytest.fixture(scope="module")
def litert(variant: Path) -> LitertEngine:
    engine = load_engine(str(variant / FOLDER))
    assert isinstance(engine, LitertEngine)
    return engine


def test_predictions_are_near_those_of_the_model_in_full(
    litert: LitertEngine,
    trained: Path,  # noqa: F811
    transformed: Transformed,
    rows: list[dict[str, Any]],
) -> None:
    full = TensorFlowEngine(trained)
    assert litert.columns == full.columns
    some = structs(full, [*rows, rows[0] | {"brand": None}])
    found, expected = litert.predict(some), full.predict(some)
    assert 0 < np.abs(found - expected).max() < TOLERANCE
    assert np.corrcoef(found[:, 0], expected[:, 0])[0, 1] > 0.9
    examples = [example(row) for row in transformed.raw[: len(rows)]]
    np.testing.assert_allclose(litert.predict_examples(examples), found[:-1], atol=1e-6)


def test_an_empty_text_is_not_a_missing_one(litert: LitertEngine, rows: list[dict[str, Any]]) -> None:
    [[missing], [empty]] = litert.predict(structs(litert, [rows[0] | {"brand": None}, rows[0] | {"brand": ""}]))
    assert empty != missing


def test_threads_do_not_meet_in_the_interpreter(litert: LitertEngine, rows: list[dict[str, Any]]) -> None:
    batches = [structs(litert, rows[start : start + 1 + start % 5]) for start in range(30)] * 8
    alone = [litert.predict(batch) for batch in batches[:30]] * 8
    with ThreadPoolExecutor(8) as pool:
        for found, expected in zip(pool.map(litert.predict, batches), alone, strict=True):
            # A row's weights are rounded with those of its batch.
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_saved_model_around_it_is_served_as_before(variant: Path) -> None:
    assert type(load_engine(str(variant))) is TensorFlowEngine


@pytest.mark.parametrize("damage", ["no file", "half a file", "no model around it"])
def test_what_is_no_pair_is_said(variant: Path, tmp_path: Path, damage: str) -> None:
    shutil.copytree(variant, tmp_path / "model")
    folder = tmp_path / "model" / FOLDER
    if damage == "no file":
        (folder / MODEL_FILE).unlink()
    elif damage == "half a file":
        (folder / MODEL_FILE).write_bytes((folder / MODEL_FILE).read_bytes()[:1000])
    else:
        (tmp_path / "model" / "saved_model.pb").unlink()
    with pytest.raises(SpecError, match="--model"):
        LitertEngine(folder)


def test_its_metadata_is_that_of_the_saved_model(litert: LitertEngine, variant: Path) -> None:
    assert json.dumps(litert.signatures, sort_keys=True) == json.dumps(
        TensorFlowEngine(variant).signatures, sort_keys=True
    )
