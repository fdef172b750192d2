from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.training.layers import Embedding
from components.training.optimizers import LazyAdam, sum_duplicates
from pipelines.errors import SpecError

# Every row in every batch, some of them twice: then lazy and dense Adam are the same function.
IDS = np.array([[0, 1, 1], [2, 3, 3], [4, 4, 0], [1, 2, 4]])
TARGETS = np.array([0.0, 1.0, 1.0, 0.0], dtype="float32")


def weights_after(
    optimizer: keras.optimizers.Optimizer, *, dense: bool, steps: int = 5, ids: np.ndarray = IDS
) -> np.ndarray:
    table = tf.Variable(np.linspace(-1, 1, 10, dtype="float32").reshape(5, 2))
    optimizer.build([table])
    for _ in range(steps):
        with tf.GradientTape() as tape:
            found = tf.gather(table, ids) if not dense else tf.einsum("bir,rd->bid", tf.one_hot(ids, 5), table)
            loss = tf.reduce_mean((tf.reduce_sum(found**2, axis=(1, 2)) - TARGETS[: len(ids)]) ** 2)
        gradient = tape.gradient(loss, table)
        assert isinstance(gradient, tf.IndexedSlices) is not dense
        optimizer.apply_gradients([(gradient, table)])
    return np.asarray(table.numpy())


def test_duplicate_rows_equal_the_dense_gradient() -> None:
    reference = weights_after(keras.optimizers.Adam(0.1), dense=True)
    np.testing.assert_allclose(weights_after(LazyAdam(0.1), dense=False), reference, atol=1e-6)
    np.testing.assert_allclose(weights_after(LazyAdam(0.1), dense=True), reference, atol=1e-6)


def test_keras_adam_still_needs_replacing() -> None:
    """When this fails Keras sums duplicates itself, and LazyAdam is only about speed."""
    reference = weights_after(keras.optimizers.Adam(0.1), dense=True)
    assert np.abs(weights_after(keras.optimizers.Adam(0.1), dense=False) - reference).max() > 0.01


def test_rows_not_looked_up_stay() -> None:
    before = np.linspace(-1, 1, 10, dtype="float32").reshape(5, 2)
    after = weights_after(LazyAdam(0.1), dense=False, ids=IDS[:2])
    np.testing.assert_array_equal(after[4], before[4])
    assert (after[:4] != before[:4]).all()


@pytest.mark.parametrize("clipping", [{"clipnorm": 0.1}, {"global_clipnorm": 0.1}, {"clipvalue": 0.05}])
def test_clipping_sees_the_summed_gradient(clipping: dict[str, float]) -> None:
    reference = weights_after(keras.optimizers.Adam(0.1, epsilon=1.0, **clipping), dense=True)
    lazy = weights_after(LazyAdam(0.1, epsilon=1.0, **clipping), dense=False)
    np.testing.assert_allclose(lazy, reference, atol=1e-6)


def test_sum_duplicates() -> None:
    summed = sum_duplicates(
        tf.IndexedSlices(tf.constant([[1.0], [2.0], [4.0]]), tf.constant([3, 0, 3]), tf.constant([5, 1]))
    )
    np.testing.assert_array_equal(tf.convert_to_tensor(summed), [[2], [0], [0], [5], [0]])


def test_amsgrad_is_refused() -> None:
    with pytest.raises(SpecError, match="amsgrad=True"):
        LazyAdam(amsgrad=True)


def test_comes_back_from_its_config() -> None:
    again = keras.optimizers.deserialize(keras.optimizers.serialize(LazyAdam(0.02, beta_1=0.8)))
    assert isinstance(again, LazyAdam)
    assert again.beta_1 == 0.8


def test_embedding_equals_keras() -> None:
    ours, theirs = Embedding(7, 3), keras.layers.Embedding(7, 3)
    ids = np.array([[0, 6], [2, 2]])
    ours(ids), theirs(ids)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_array_equal(ours(ids), theirs(ids))
    assert ours.compute_output_shape((None, 2)) == (None, 2, 3)


def test_embedding_gives_a_sparse_gradient_and_keeps_a_float32_table() -> None:
    layer = Embedding(7, 3, dtype="mixed_bfloat16")
    with tf.GradientTape() as tape:
        found = layer(np.array([[1, 1, 2]]))
        loss = tf.reduce_sum(found)
    assert (found.dtype, layer.table.dtype) == (tf.bfloat16, "float32")
    assert isinstance(tape.gradient(loss, layer.table.value), tf.IndexedSlices)


def test_embedding_masks_padding() -> None:
    pooled = keras.Sequential([Embedding(7, 3, mask_zero=True), keras.layers.GlobalAveragePooling1D()])
    np.testing.assert_allclose(pooled(np.array([[5, 0, 0]])), pooled(np.array([[5, 5, 5]])), atol=1e-7)


def test_embedding_comes_back_from_its_config() -> None:
    again = Embedding.from_config(Embedding(7, 3, mask_zero=True, name="item").get_config())
    assert (again.rows, again.size, again.mask_zero, again.name) == (7, 3, True, "item")


def test_embedding_refuses_an_empty_table() -> None:
    with pytest.raises(ValueError, match="rows=0"):
        Embedding(0, 3)
