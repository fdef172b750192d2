"""One step on all replicas: forward, backward, update; and one batch of evaluation.

The same code for every strategy: rows are split over the replicas, the loss of a replica is weighted so that the sum
of the gradients is the gradient of the mean over the global batch, however unevenly the rows split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from components.training.epochs import split_evenly
from components.transform.blocks import KINDS, Column, Floats, Ints, width

Part = tuple[Floats, Ints]
"""Packed rows of one replica."""


class StepResult(NamedTuple):
    loss: float
    """Mean over the global batch, with regularization."""
    votes: tuple[int, ...]
    """Per question, how many replicas voted for it: the ranks agree on stopping without talking otherwise."""


class Weight(NamedTuple):
    """The column of weights and its means. Divided by them the weights are 1 on average: learning rates keep their
    meaning, and a loss is that of all rows."""

    column: str
    train_mean: float
    eval_mean: float


class Steps:
    """The compiled functions of one model under one strategy."""

    def __init__(
        self,
        model: keras.Model,
        strategy: tf.distribute.Strategy,
        columns: Mapping[str, Column],
        *,
        label: str,
        weight: Weight | None = None,
    ) -> None:
        self._model, self._strategy, self._label, self._weight = model, strategy, label, weight
        self._columns = dict(columns)
        self._replicas = strategy.num_replicas_in_sync
        self.local_replicas = self._find_local_replicas()
        self._signature = tuple(tf.TensorSpec((None, width(columns, kind)), kind) for kind in KINDS)
        self._train_step = tf.function(self._train_on_replicas, autograph=False, reduce_retracing=True)
        self._eval_step = tf.function(self._evaluate_on_replicas, autograph=False, reduce_retracing=True)

    def split(self, take: Callable[[Any], Part], rows: slice | np.ndarray) -> dict[int, Part]:
        """Loads the rows of this process's replicas, by replica, of a global batch `rows`."""
        count = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        parts = split_evenly(count, self._replicas)
        if isinstance(rows, slice):
            shifted = [slice(rows.start + part.start, rows.start + part.stop) for part in parts]
            return {replica: take(shifted[replica]) for replica in self.local_replicas}
        return {replica: take(rows[parts[replica]]) for replica in self.local_replicas}

    def train(self, parts: Mapping[int, Part], *, row_count: int, votes: tuple[int, ...]) -> StepResult:
        """One update from a global batch of `row_count` rows."""
        loss, counted = self._train_step(
            *self._batch(parts), self._same(float(row_count)), self._same([float(vote) for vote in votes])
        )
        return StepResult(float(loss), tuple(round(float(vote)) for vote in counted.numpy()))

    def evaluate(self, parts: Mapping[int, Part]) -> None:
        """Adds a batch to the model's metrics."""
        self._eval_step(*self._batch(parts))

    def _batch(self, parts: Mapping[int, Part]) -> tuple[Any, Any]:
        return (
            self._distribute(lambda context: tf.convert_to_tensor(parts[context.replica_id_in_sync_group][0])),
            self._distribute(lambda context: tf.convert_to_tensor(parts[context.replica_id_in_sync_group][1])),
        )

    def _find_local_replicas(self) -> tuple[int, ...]:
        """The replicas of this process, by their number over all processes."""
        found: list[int] = []

        def note(context: Any) -> Any:
            found.append(context.replica_id_in_sync_group)
            return tf.zeros(())

        self._distribute(note)
        return tuple(found)

    def _same(self, value: Any) -> Any:
        return self._distribute(lambda context: tf.constant(value, tf.float32))

    def _distribute(self, value: Callable[[Any], Any]) -> Any:
        return self._strategy.experimental_distribute_values_from_function(value)

    def _train_on_replicas(self, floats: Any, ints: Any, row_count: Any, votes: Any) -> tuple[Any, Any]:
        losses, counted = self._strategy.run(self._train_on_replica, args=(floats, ints, row_count, votes))
        return (
            self._strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None),
            self._strategy.reduce(tf.distribute.ReduceOp.SUM, counted, axis=None),
        )

    def _train_on_replica(self, floats: Any, ints: Any, row_count: Any, votes: Any) -> tuple[Any, Any]:
        model, (x, y, weights) = self._model, self._unpack(floats, ints, training=True)
        rows = tf.cast(tf.shape(y)[0], tf.float32)
        with tf.GradientTape() as tape:
            predictions = model(x, training=True)
            mean = self._mean_loss(x, y, predictions, weights, training=True)
            loss = mean * rows / row_count
            scaled = model.optimizer.scale_loss(loss)
        variables = model.trainable_variables
        model.optimizer.apply_gradients(zip(tape.gradient(scaled, variables), variables, strict=True))
        self._update_metrics(x, y, predictions, weights, mean, rows)
        return tf.cast(loss, tf.float32), votes

    def _evaluate_on_replicas(self, floats: Any, ints: Any) -> None:
        self._strategy.run(self._evaluate_on_replica, args=(floats, ints))

    def _evaluate_on_replica(self, floats: Any, ints: Any) -> None:
        x, y, weights = self._unpack(floats, ints, training=False)
        predictions = self._model(x, training=False)
        mean = self._mean_loss(x, y, predictions, weights, training=False)
        self._update_metrics(x, y, predictions, weights, mean, tf.cast(tf.shape(y)[0], tf.float32))

    def _mean_loss(self, x: Any, y: Any, predictions: Any, weights: Any, *, training: bool) -> Any:
        loss = self._model.compute_loss(x=x, y=y, y_pred=predictions, sample_weight=weights, training=training)
        # Keras divides the mean over this replica's rows by the number of replicas.
        return loss * self._replicas

    def _update_metrics(self, x: Any, y: Any, predictions: Any, weights: Any, mean: Any, rows: Any) -> None:
        self._model._loss_tracker.update_state(mean, sample_weight=rows)
        self._model.compute_metrics(x, y, predictions, weights)

    def _unpack(self, floats: Any, ints: Any, *, training: bool) -> tuple[dict[str, Any], Any, Any]:
        """Features, labels, and weights or None."""
        floats, ints = (
            tf.ensure_shape(floats, self._signature[0].shape),
            tf.ensure_shape(ints, self._signature[1].shape),
        )
        features = {name: column.unpack(floats, ints) for name, column in self._columns.items()}
        weights = None
        if self._weight:
            mean = self._weight.train_mean if training else self._weight.eval_mean
            weights = features.pop(self._weight.column) / mean
        return features, tf.cast(features.pop(self._label), tf.float32), weights
