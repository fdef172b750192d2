from __future__ import annotations

import numpy as np
import tensorflow as tf

from components.baselines.features import MIN_ROWS, Features, Ids


def test_types_and_shapes_tell_numbers_ids_and_sets_apart() -> None:
    arrays = {
        "price": np.zeros((9, 1), "f4"),
        "pixels": np.zeros((9, 2, 3), "f4"),
        "item": np.zeros((9, 1), "i8"),
        "seen": np.zeros((9, 3), "i8"),
    }
    features = Features.of(arrays)
    assert {name: len(means) for name, means in features.numbers.items()} == {"price": 1, "pixels": 6}
    assert {name: ids.is_set for name, ids in features.ids.items()} == {"item": False, "seen": True}


def test_a_missing_number_is_the_mean_of_those_that_are_there() -> None:
    arrays = {"price": np.array([[1], [np.nan], [3], [np.inf]], "f4"), "never": np.full((4, 1), np.nan, "f4")}
    features = Features.of(arrays)
    expected = [[1, 0], [2, 0], [3, 0], [2, 0]]
    np.testing.assert_array_equal(features.numbers_of(arrays), expected)
    np.testing.assert_array_equal(
        features.numbers_in_graph({name: tf.constant(values) for name, values in arrays.items()}), expected
    )


def test_zero_is_an_id_alone_and_padding_in_a_set() -> None:
    values = np.repeat([0, 0, 5], MIN_ROWS).reshape(-1, 1)
    assert Ids.of(values).known.tolist() == [0, 5]
    assert Ids.of(np.hstack([values, values])).known.tolist() == [5]


def test_a_rare_or_unseen_id_has_code_0_in_memory_and_in_the_graph() -> None:
    values = np.array([[-3]] * MIN_ROWS + [[2**40]] * (MIN_ROWS + 1) + [[8]])
    ids = Ids.of(values)
    asked = np.array([[-3], [2**40], [8], [9], [-4], [2**62]])
    expected = [1, 2, 0, 0, 0, 0]
    assert ids.codes(asked).ravel().tolist() == expected
    in_graph = ids.codes_in_graph(tf.constant(asked), tf.Variable(ids.known))
    assert np.asarray(in_graph).ravel().tolist() == expected
    assert ids.by_frequency.tolist() == [2, 1]


def test_no_known_id_is_no_error() -> None:
    ids = Ids.of(np.arange(4)[:, None])
    assert ids.codes(np.arange(4)[:, None]).tolist() == [[0]] * 4
    assert np.asarray(ids.codes_in_graph(tf.constant([[1]], tf.int64), tf.Variable(ids.known))).tolist() == [[0]]
