from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.transform.images import decode_images


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(target, kind)
    return target.getvalue()


def test_a_png_of_the_wanted_size_is_its_pixels() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3))
    [found] = decode_images(tf.constant([encoded(pixels)]), height=5, width=7).numpy()
    np.testing.assert_allclose(found, pixels / 255, atol=1e-6)


def test_sizes_formats_and_missing_ones_share_a_batch() -> None:
    grey = [encoded(np.full((20 + row, 30, 3), 51 * row), kind) for row, kind in enumerate(["PNG", "JPEG", "PNG"])]
    found = decode_images(tf.constant([[grey[0]], [grey[1]], [b""], [grey[2]]]), height=8, width=6)
    assert found.shape == (4, 8, 6, 3)
    np.testing.assert_allclose(found.numpy().mean(axis=(1, 2, 3)), [0, 0.2, 0, 0.4], atol=0.01)
    sparse = tf.SparseTensor([[0, 0], [2, 0]], [grey[1], grey[2]], [3, 1])
    np.testing.assert_allclose(
        decode_images(sparse, height=2, width=2).numpy().mean(axis=(1, 2, 3)), [0.2, 0, 0.4], atol=0.01
    )


def test_a_small_copy_is_the_mean_of_its_pixels() -> None:
    stripes = np.zeros((64, 64, 3))
    stripes[:, ::2] = 255
    found = decode_images(tf.constant([encoded(stripes)]), height=4, width=4).numpy()
    np.testing.assert_allclose(found, 0.5, atol=0.05)


def test_channels_in_a_graph_have_a_fixed_shape() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def decode(content: tf.Tensor) -> tf.Tensor:
        found = decode_images(content, height=3, width=2, channels=1)
        assert found.shape.as_list() == [None, 3, 2, 1]
        return found

    white = tf.constant([encoded(np.full((9, 9, 3), 255))])
    np.testing.assert_allclose(decode(white), np.ones((1, 3, 2, 1)), atol=1e-6)
    assert decode(tf.constant([], tf.string)).shape == (0, 3, 2, 1)


def test_a_broken_image_is_an_error_and_not_black() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_images(tf.constant([b"no image"]), height=2, width=2)
