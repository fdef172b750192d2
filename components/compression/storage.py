"""Forms in which a weight is stored in fewer bytes, and expanded again by the graph that reads it.

    stored = Int8(kernel)            # variables int8 [in, out] and float32 [out]
    stored.expand()                  # float32 [in, out]
    stored.lookup(ids)               # float32 [*ids, out]: only these rows are expanded

The codes are variables of the SavedModel, so every server of SavedModels runs them. What is smaller is the file and the
memory; each step pays for the expansion.
"""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy.cluster.vq import kmeans2

Weight = npt.NDArray[np.float32]
SMALLEST = 64
"""Weights of fewer elements stay as they are: their scales and shapes would cost what the codes save."""
ITERATIONS = 30


class Stored(Protocol):
    def expand(self) -> Any:
        """The whole weight, float32."""

    def lookup(self, ids: Any) -> Any:
        """Rows of the weight, float32 `[*ids, ...]`."""


def is_compressible(shape: tuple[int, ...]) -> bool:
    """Kernels and tables; biases, scales and statistics of normalisation stay."""
    return len(shape) > 1 and int(np.prod(shape)) >= SMALLEST


class Float16(tf.Module):  # type: ignore[misc]
    """Half precision (IEEE 754 binary16): a relative error of at most 2^-11, an absolute one of 2^-25 near zero.

    Raises:
        ValueError: a value is not finite there.
    """

    def __init__(self, weight: Weight) -> None:
        super().__init__()
        with np.errstate(over="ignore"):
            values = weight.astype(np.float16)
        _require_finite(values, "float16 holds numbers up to 65504")
        self.values = _constant(values)

    def expand(self) -> Any:
        return tf.cast(self.values, tf.float32)

    def lookup(self, ids: Any) -> Any:
        return tf.cast(tf.gather(self.values, ids), tf.float32)


class Int8(tf.Module):  # type: ignore[misc]
    """Symmetric, with a scale for each element of the last axis: an error of at most that column's largest value / 254.

    Jacob et al. 2018, arXiv 1712.05877, without zero points. Raises `ValueError` when a value is not finite.
    """

    def __init__(self, weight: Weight) -> None:
        super().__init__()
        _require_finite(weight, "int8 holds finite numbers")
        scale = np.abs(weight).max(axis=tuple(range(weight.ndim - 1))) / np.float32(127)
        codes = np.rint(weight / np.where(scale, scale, 1)).astype(np.int8)
        self.codes, self.scale = _constant(codes), _constant(scale.astype(np.float32))

    def expand(self) -> Any:
        return tf.cast(self.codes, tf.float32) * self.scale

    def lookup(self, ids: Any) -> Any:
        return tf.cast(tf.gather(self.codes, ids), tf.float32) * self.scale


class Clustered(tf.Module):  # type: ignore[misc]
    """A byte for each element that says which of the centroids it is: k-means from evenly spaced ones.

    Han et al. 2016, arXiv 1510.00149, section 3, without retraining. Raises `ValueError` when a value is not finite.
    """

    def __init__(self, weight: Weight, *, clusters: int) -> None:
        super().__init__()
        _require_finite(weight, "k-means needs finite numbers")
        first = np.linspace(weight.min(), weight.max(), clusters, dtype=np.float64)
        with warnings.catch_warnings():
            # A centroid in a gap between values keeps its place and no value.
            warnings.filterwarnings("ignore", message="One of the clusters is empty")
            centroids, codes = kmeans2(weight.reshape(-1).astype(np.float64), first, iter=ITERATIONS, minit="matrix")
        self.codes = _constant(codes.astype(np.uint8).reshape(weight.shape))
        self.centroids = _constant(centroids.astype(np.float32).reshape(-1))

    def expand(self) -> Any:
        return tf.gather(self.centroids, tf.cast(self.codes, tf.int32))

    def lookup(self, ids: Any) -> Any:
        return tf.gather(self.centroids, tf.cast(tf.gather(self.codes, ids), tf.int32))


def _constant(values: npt.NDArray[Any]) -> tf.Variable:
    # A variable, although nothing assigns it: TensorFlow would expand a constant once and store it in full.
    return tf.Variable(values, trainable=False)


def _require_finite(values: npt.NDArray[Any], allowed: str) -> None:
    if count := int(np.size(values) - np.isfinite(values).sum()):
        raise ValueError(f"{allowed}. Received: {count} of {np.size(values)} values that are not")
