"""A click model of the shop's shape for benchmarks of servers: 14 raw columns, hashed texts, embeddings, two layers.

save_model(path)
rows = make_rows(200)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

TEXTS = ("user_id", "country", "device", "item_id", "category")
OPEN_TEXTS = ("query", "title", "recent_items", "recent_categories")
NUMBERS = ("price", "age", "stock")
WHOLE = ("position", "hour")
BUCKETS, WIDTH = 2000, 8


class ClickModel(tf.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        random = np.random.default_rng(3)
        count = len(TEXTS) + len(OPEN_TEXTS)
        self.embeddings = tf.Variable(random.normal(size=(count, BUCKETS, WIDTH)).astype("f4"))
        inputs = count * WIDTH + len(NUMBERS) + len(WHOLE)
        self.layers = [
            tf.Variable(random.normal(size=size).astype("f4") / 8) for size in ((inputs, 32), (32, 16), (16, 1))
        ]

    @tf.function  # type: ignore[untyped-decorator]
    def score(self, columns: Mapping[str, Any]) -> Any:
        parts = []
        for index, name in enumerate(TEXTS + OPEN_TEXTS):
            hashed = tf.strings.to_hash_bucket_fast(columns[name], BUCKETS)
            there = tf.cast(columns[name] != "", tf.float32)[..., None]
            parts.append(tf.reduce_sum(tf.gather(self.embeddings[index], hashed) * there, axis=1))
        parts += [tf.math.log1p(tf.abs(columns[name])) for name in NUMBERS]
        parts += [tf.cast(columns[name], tf.float32) / 24 for name in WHOLE]
        hidden = tf.concat(parts, axis=1)
        for layer in self.layers[:-1]:
            hidden = tf.nn.relu(hidden @ layer)
        return {"predictions": tf.sigmoid(hidden @ self.layers[-1])}


def save_model(path: Path) -> Path:
    model = ClickModel()
    specs = {name: tf.TensorSpec([None, 1], tf.string, name=name) for name in TEXTS}
    specs |= {name: tf.TensorSpec([None, None], tf.string, name=name) for name in OPEN_TEXTS}
    specs |= {name: tf.TensorSpec([None, 1], tf.float32, name=name) for name in NUMBERS}
    specs |= {name: tf.TensorSpec([None, 1], tf.int64, name=name) for name in WHOLE}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])  # type: ignore[untyped-decorator]
    def of_examples(examples: Any) -> Any:
        return {"predictions": tf.zeros([tf.size(examples), 1])}

    @tf.function(input_signature=[specs])  # type: ignore[untyped-decorator]
    def of_columns(columns: Mapping[str, Any]) -> Any:
        return model.score(columns)

    model.of_columns = of_columns
    tf.saved_model.save(model, str(path), signatures={"serving_default": of_examples, "serve_columns": of_columns})
    return path


def make_rows(count: int) -> list[dict[str, Any]]:
    random = np.random.default_rng(5)
    rows = []
    for number in range(count):
        texts = {name: f"{name} {random.integers(500)}" for name in (*TEXTS, "query", "title")}
        recent = {
            name: [f"{name} {value}" for value in random.integers(0, 500, 5)]
            for name in ("recent_items", "recent_categories")
        }
        numbers = {name: round(float(random.gamma(2)), 3) for name in NUMBERS}
        whole = {name: int(random.integers(10)) for name in WHOLE}
        rows.append(texts | recent | numbers | whole | {"user_id": f"u{number}"})
    return rows
