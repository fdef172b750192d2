from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import tensorflow as tf

from components.serving.columns import row_type
from components.serving.engine import InputError, TensorFlowEngine
from pipelines.errors import SpecError
from tests.components.training.conftest import Transformed, example


def structs(engine: TensorFlowEngine, rows: list[dict[str, Any]]) -> list[msgspec.Struct]:
    found: list[msgspec.Struct] = msgspec.convert(rows, list[row_type(engine.columns)])  # type: ignore[misc]
    return found


def test_predictions_are_those_of_the_examples(
    engine: TensorFlowEngine, model: Path, rows: list[dict[str, Any]], transformed: Transformed
) -> None:
    examples = [example(row) for row in transformed.raw[: len(rows)]]
    expected = tf.saved_model.load(str(model)).signatures["serving_default"](examples=tf.constant(examples))
    found = engine.predict(structs(engine, rows))
    assert len(np.unique(found)) > 20
    np.testing.assert_allclose(found, expected["predictions"], atol=1e-6)
    np.testing.assert_allclose(engine.predict_examples(examples), found, atol=1e-6)


def test_an_empty_text_is_not_a_missing_one(engine: TensorFlowEngine, rows: list[dict[str, Any]]) -> None:
    """Only tf.Examples can tell; the columns' signature takes the one for the other."""
    [[missing], [empty]] = engine.predict(structs(engine, [rows[0] | {"brand": None}, rows[0] | {"brand": ""}]))
    raw = {"item": [rows[0]["item"][0].encode()], "price": rows[0]["price"], "views": rows[0]["views"], "brand": [b""]}
    [[known]] = engine.predict_examples([example(raw)])
    assert empty != missing
    assert empty == pytest.approx(known, abs=1e-6)


def test_what_the_columns_are_comes_from_the_signature(engine: TensorFlowEngine) -> None:
    assert {column.name: (column.kind, column.shape) for column in engine.columns} == {
        "brand": ("text", None),
        "item": ("text", (1,)),
        "price": ("float", (1,)),
        "views": ("int", None),
    }


def test_values_that_the_graph_refuses_are_the_clients_error(
    engine: TensorFlowEngine, rows: list[dict[str, Any]]
) -> None:
    with pytest.raises(InputError, match="the model refuses these values"):
        engine.predict(structs(engine, [rows[0] | {"views": list(range(10))}]))  # the transform graph has nine


@pytest.mark.parametrize("content", [None, b"", b"not a graph"])
def test_a_folder_that_is_no_model_is_said(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(SpecError, match="--model"):
        TensorFlowEngine(tmp_path)


def test_a_model_without_the_signatures_is_said(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(SpecError, match="signatures serving_default and serve_columns"):
        TensorFlowEngine(tmp_path)
