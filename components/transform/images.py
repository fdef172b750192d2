"""Encoded images to numbers, in `preprocessing_fn` or in a model.

    from components.transform.images import decode_images

    def preprocessing_fn(inputs):
        return {"photo": decode_images(inputs["photo"], height=32, width=32), ...}

The same graph serves, so a request brings the bytes.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def decode_images(encoded: tf.Tensor | tf.SparseTensor, *, height: int, width: int, channels: int = 3) -> tf.Tensor:
    """`[batch, height, width, channels]` float32 from 0 to 1, resized without keeping the aspect ratio.

    Args:
        encoded: PNG or JPEG, `[batch]`, `[batch, 1]` or a sparse column of at most one image a row. A missing image,
            or an empty one, is black.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA; PNG only).

    Raises:
        tf.errors.InvalidArgumentError: an image that is there cannot be decoded, when the graph runs.
    """
    if isinstance(encoded, tf.SparseTensor):
        shape = tf.stack([encoded.dense_shape[0], 1])
        encoded = tf.sparse.to_dense(tf.SparseTensor(encoded.indices, encoded.values, shape), "")
    shape = (height, width, channels)

    def decode(content: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(content, channels=channels, expand_animations=False)
        image.set_shape((None, None, channels))
        # Without antialiasing a small copy of a large image is a few of its pixels.
        return tf.ensure_shape(tf.image.resize(image, (height, width), antialias=True) / 255.0, shape)

    def decode_or_black(content: tf.Tensor) -> Any:
        return tf.cond(tf.strings.length(content) > 0, lambda: decode(content), lambda: tf.zeros(shape))

    return tf.map_fn(decode_or_black, tf.reshape(encoded, [-1]), fn_output_signature=tf.TensorSpec(shape, tf.float32))
