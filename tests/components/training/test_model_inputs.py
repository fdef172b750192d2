from __future__ import annotations

import pytest
import tensorflow as tf
import tensorflow_transform as tft

from components.training.model_inputs import ModelInputs, feature_shapes
from pipelines.errors import UserCodeError
from tests.components.training.conftest import LABEL, Transformed


def test_one_input_per_feature_without_the_label(transformed: Transformed) -> None:
    transform = tft.TFTransformOutput(str(transformed.transform))
    features = ModelInputs.from_transform(transform, label=LABEL, hyperparameters={"units": 8})
    shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in features.inputs.items()}
    assert shapes == {
        "brand_id": ((None, 1), "int64"),
        "item_id": ((None, 1), "int64"),
        "price": ((None, 1), "float32"),
        "views": ((None, 9), "int64"),
    }
    assert features.hyperparameters == {"units": 8}


def test_vocabulary_sizes(transformed: Transformed) -> None:
    features = ModelInputs.from_transform(tft.TFTransformOutput(str(transformed.transform)), label=LABEL)
    assert (features.vocabulary_size("item"), features.vocabulary_size("brand")) == (20, 4)
    with pytest.raises(UserCodeError, match="brand, item. Received: name='color'"):
        features.vocabulary_size("color")


FIXED = {"price": tf.io.FixedLenFeature([], tf.float32), LABEL: tf.io.FixedLenFeature([], tf.int64)}


def test_sparse_features_are_refused() -> None:
    with pytest.raises(UserCodeError, match="not dense: words"):
        feature_shapes({**FIXED, "words": tf.io.VarLenFeature(tf.int64)}, label=LABEL)


def test_text_is_refused() -> None:
    with pytest.raises(UserCodeError, match="text: name"):
        feature_shapes({**FIXED, "name": tf.io.FixedLenFeature([], tf.string)}, label=LABEL)


def test_a_missing_label_is_refused() -> None:
    with pytest.raises(UserCodeError, match="its own name 'bought'"):
        feature_shapes(FIXED, label="bought")
