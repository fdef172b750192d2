"""Analyzers of one phase, of a phase behind constants, and of one behind a lookup table."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

SCHEMA = """
feature { name: "user" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "item" type: INT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "price" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "clicked" type: INT presence { min_fraction: 1 } shape { dim { size: 1 } } }
"""
PATH = f"{__name__}.preprocessing_fn"


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    z = tft.scale_to_z_score(inputs["price"])
    bucket = tft.bucketize(z, 4)
    user = tft.compute_and_apply_vocabulary(inputs["user"], vocab_filename="user")
    crossed = tf.strings.join([tf.strings.as_string(bucket), tf.strings.as_string(user)], "x")
    return {
        "z": z,
        "bucket": bucket,
        "user": user,
        "crossed": tft.compute_and_apply_vocabulary(crossed, vocab_filename="crossed"),
        "clicked": inputs["clicked"],
    }
