"""Features of the shop with an analyzer that has no kernel: TensorFlow Transform's own Beam analysis does it all."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_transform as tft

from pipelines.shop import features


def preprocessing_fn(inputs: features.Tensors) -> dict[str, tf.Tensor]:
    price, category = features._flat(inputs["price"]), features._flat(inputs["category"])
    return features.preprocessing_fn(inputs) | {"in_category": tft.scale_to_z_score_per_key(price, category)}
