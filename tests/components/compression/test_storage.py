from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from components.compression.storage import Clustered, Float16, Int8, Stored, Weight, is_compressible

RANDOM = np.random.default_rng(4)
WEIGHT = (RANDOM.normal(size=(40, 6)) * [0.001, 0.1, 1, 10, 100, 0]).astype(np.float32)
FORMS = [Float16, Int8, partial(Clustered, clusters=8)]


def test_float16_errs_by_half_of_its_last_bit() -> None:
    error = np.abs(Float16(WEIGHT).expand().numpy() - WEIGHT)
    assert (error <= np.maximum(np.abs(WEIGHT) * 2.0**-11, 2.0**-25)).all()
    assert error.any()


def test_int8_errs_by_half_a_step_of_its_column() -> None:
    stored = Int8(WEIGHT)
    error = np.abs(stored.expand().numpy() - WEIGHT)
    assert (error <= np.abs(WEIGHT).max(axis=0) / 254 * (1 + 1e-5)).all()
    assert stored.codes.dtype == "int8"
    assert np.abs(stored.codes.numpy()).max() == 127


def test_clusters_are_as_many_as_asked_for_and_the_nearest() -> None:
    column = WEIGHT[:, 2:3]
    stored = Clustered(column, clusters=8)
    found, centroids = stored.expand().numpy(), stored.centroids.numpy()
    assert len(np.unique(found)) <= 8
    np.testing.assert_allclose(np.abs(found - column), np.abs(column - centroids).min(axis=1, keepdims=True), atol=1e-6)
    evenly = np.linspace(column.min(), column.max(), 8)
    assert np.square(found - column).sum() < np.square(column - evenly).min(axis=1).sum()


@pytest.mark.parametrize("form", FORMS)
def test_a_lookup_equals_rows_of_the_whole(form: Callable[[Weight], Stored]) -> None:
    stored, ids = form(WEIGHT), np.array([[3, 3], [0, 39]])
    np.testing.assert_array_equal(stored.lookup(ids).numpy(), stored.expand().numpy()[ids])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(form: Callable[[Weight], Stored], value: float) -> None:
    with pytest.raises(ValueError, match="1 of 240 values"):
        form(np.where(np.arange(240).reshape(40, 6) == 7, value, WEIGHT).astype(np.float32))


def test_float16_refuses_what_overflows_there() -> None:
    with pytest.raises(ValueError, match="65504"):
        Float16(np.full((8, 8), 70000, np.float32))


def test_small_weights_and_biases_stay() -> None:
    assert is_compressible((8, 8))
    assert not is_compressible((8, 7))
    assert not is_compressible((64,))
