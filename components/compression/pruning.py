"""Magnitude pruning with fine-tuning: the smallest weights become zero while the others learn to do without them.

prune(model, rows, weight=None, seed=7, batch_size=256, label="clicked", compress=spec.compress)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.compression.stored_model import compressible
from components.training.epochs import EpochPlan
from components.training.rows import Rows
from components.training.steps import Steps
from components.training.steps import Weight as RowWeight
from pipelines.spec import Compress, Train


def prune(
    model: keras.Model, rows: Rows, *, label: str, train: Train, compress: Compress, weight: RowWeight | None = None
) -> None:
    """Changes the weights of `model`: `compress.pruned_share` of each that is compressible ends as zero."""
    strategy = tf.distribute.get_strategy()
    steps = Steps(model, strategy, rows.columns, label=label, weight=weight)
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    optimizer.learning_rate = float(optimizer.learning_rate) * compress.fine_tune_rate
    plan = EpochPlan(len(rows), train.batch_size, train.seed)
    total = plan.steps * compress.fine_tune_epochs
    weights = compressible(model)
    for step, batch in enumerate(_batches(plan, compress.fine_tune_epochs), start=1):
        zero(weights, share=share_at(step, total=total, final=compress.pruned_share))
        steps.train(steps.split(rows.take, batch), row_count=len(batch), votes=())
    # The last step moved zeros.
    zero(weights, share=compress.pruned_share)


def share_at(step: int, *, total: int, final: float) -> float:
    """Zhu and Gupta 2017, arXiv 1710.01878, equation 1: fast first, and done after half of the steps."""
    return final * (1 - (1 - min(1.0, step / max(1, total / 2))) ** 3)


def zero(weights: list[keras.Variable], *, share: float) -> None:
    """Sets the elements of smallest magnitude of each weight to zero: `share` of them, rounded down."""
    for variable in weights:
        values = np.asarray(keras.ops.convert_to_numpy(variable)).copy()
        flat = values.reshape(-1)
        count = int(share * flat.size)
        flat[np.argpartition(np.abs(flat), count)[:count]] = 0
        variable.assign(values)


def _batches(plan: EpochPlan, epochs: int) -> Iterator[Any]:
    for epoch in range(epochs):
        yield from plan.batches(epoch)
