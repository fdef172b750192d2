"""Gradient-boosted trees by YDF, as plain TensorFlow operations.

    trees = learn_trees(lesson, seed=1, budget_secs=60)
    trees({"price": …, "item": …})          # [batch, 1]

A number is split by a threshold, an id by a subset of ids. Of a set the most frequent ids are features of their own: a
split of whole sets takes YDF 17 s on 15,000 rows. YDF's own export needs its operation in every process that loads the
model and names files at random; gathers over arrays of nodes load everywhere, and give equal models equal digests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import ydf
from ydf.model.tree.condition import (
    CategoricalIsInCondition,
    IsTrueCondition,
    NumericalHigherThanCondition,
)
from ydf.model.tree.node import AbstractNode, Leaf, NonLeaf

from components.baselines.features import Features, Ids
from components.baselines.lesson import Lesson

TREES = 100
DEPTH = 6
"""Nodes on the longest way, as YDF counts: five splits."""
SET_IDS = 32
MAX_SPLIT_IDS = 1000
"""Of one id, the most frequent: the others are one."""
_LABEL, _WEIGHT = "daybreak label", "daybreak weight"
_NO_MASK = -1


@dataclass
class Nodes:
    """Of all trees, one after the other. A leaf is its own child, so that all ways are equally long."""

    columns: list[int] = field(default_factory=list)
    thresholds: list[float] = field(default_factory=list)
    masks: list[int] = field(default_factory=list)
    """Where the mask of a split of ids begins, or `_NO_MASK`."""
    positive: list[int] = field(default_factory=list)
    negative: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    bits: list[bool] = field(default_factory=list)
    """All masks: whether the code at that place goes to the positive child."""
    roots: list[int] = field(default_factory=list)


class Trees(tf.Module):  # type: ignore[misc]
    def __init__(self, features: Features, nodes: Nodes, *, start: float, is_binary: bool) -> None:
        super().__init__()
        self._features, self._is_binary = features, is_binary
        self._known = {name: _constant(ids.known, tf.int64) for name, ids in features.ids.items()}
        self._start = _constant(start, tf.float32)
        self._columns, self._masks = _constant(nodes.columns, tf.int32), _constant(nodes.masks, tf.int32)
        self._thresholds, self._values = (_constant(each, tf.float32) for each in (nodes.thresholds, nodes.values))
        self._positive, self._negative = (_constant(each, tf.int32) for each in (nodes.positive, nodes.negative))
        self._bits, self._roots = _constant([*nodes.bits, False], tf.bool), _constant(nodes.roots, tf.int32)

    def __call__(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        """`[batch, 1]`."""
        rows = self._columns_of(inputs)
        node = tf.tile(self._roots[None], (tf.shape(rows)[0], 1))
        for _ in range(DEPTH - 1):
            node = tf.where(self._is_positive(rows, node), *(tf.gather(of, node) for of in self._children))
        found = tf.reduce_sum(tf.gather(self._values, node), axis=1, keepdims=True) + self._start
        return tf.sigmoid(found) if self._is_binary else found

    @property
    def _children(self) -> tuple[tf.Variable, tf.Variable]:
        return self._positive, self._negative

    def _is_positive(self, rows: Any, node: Any) -> Any:
        values = tf.gather(rows, tf.gather(self._columns, node), batch_dims=1)
        mask = tf.gather(self._masks, node)
        # A number has no mask; the last bit stands in, and is not looked at.
        place = tf.where(mask == _NO_MASK, tf.size(self._bits) - 1, mask + tf.cast(values, tf.int32))
        return tf.where(
            mask == _NO_MASK, values >= tf.gather(self._thresholds, node), tf.gather(self._bits, tf.maximum(place, 0))
        )

    def _columns_of(self, inputs: Mapping[str, Any]) -> Any:
        """`[batch, columns]`, in the order of `_columns`."""
        columns = [self._features.numbers_in_graph(inputs)]
        for name, ids in self._features.ids.items():
            codes = ids.codes_in_graph(tf.reshape(inputs[name], (tf.shape(columns[0])[0], -1)), self._known[name])
            if ids.is_set:
                wanted = ids.by_frequency[:SET_IDS]
                columns.append(tf.cast(tf.reduce_any(codes[:, :, None] == wanted, axis=1), tf.float32))
            else:
                columns.append(tf.cast(codes, tf.float32))
        return tf.concat(columns, axis=1)


def learn_trees(lesson: Lesson, *, seed: int, budget_secs: float) -> Trees:
    """Early stopping by a tenth of the rows."""
    return to_graph(train_trees(lesson, seed=seed, budget_secs=budget_secs), lesson)


def train_trees(lesson: Lesson, *, seed: int, budget_secs: float) -> Any:
    """YDF's model of `columns_of`."""
    columns = columns_of(lesson)
    learner = ydf.GradientBoostedTreesLearner(
        label=_LABEL,
        weights=_WEIGHT,
        task=ydf.Task.CLASSIFICATION if lesson.is_binary else ydf.Task.REGRESSION,
        features=[_semantic(name, values) for name, values in columns.items()],
        num_trees=TREES,
        max_depth=DEPTH,
        # Twice as fast as all features and exact subsets in every split, and no worse.
        num_candidate_attributes_ratio=0.2,
        categorical_algorithm="RANDOM",
        early_stopping_num_trees_look_ahead=10,
        random_seed=seed,
        maximum_training_duration_seconds=float(budget_secs),
    )
    labels = lesson.labels.astype(np.int64 if lesson.is_binary else np.float32)
    return learner.train({**columns, _LABEL: labels, _WEIGHT: lesson.weights.astype(np.float32)}, verbose=0)


def columns_of(lesson: Lesson) -> dict[str, npt.NDArray[Any]]:
    """float32: a number; bool: whether an id is in the set; int64: a code."""
    numbers = lesson.features.numbers_of(lesson.arrays)
    columns: dict[str, npt.NDArray[Any]] = {f"number {index}": values for index, values in enumerate(numbers.T)}
    for name, ids in lesson.features.ids.items():
        codes = ids.codes(lesson.arrays[name])
        if ids.is_set:
            columns |= {f"{name} has {code}": (codes == code).any(axis=1) for code in ids.by_frequency[:SET_IDS]}
        else:
            columns[name] = np.where(np.isin(codes, ids.by_frequency[:MAX_SPLIT_IDS]), codes, 0)[:, 0]
    return columns


def _semantic(name: str, values: npt.NDArray[Any]) -> Any:
    if values.dtype.kind == "i":
        return ydf.Column(name, ydf.Semantic.CATEGORICAL, min_vocab_frequency=1, max_vocab_count=-1)
    return ydf.Column(name, ydf.Semantic.BOOLEAN if values.dtype.kind == "b" else ydf.Semantic.NUMERICAL)


def to_graph(model: Any, lesson: Lesson) -> Trees:
    walk = _Walk(model, lesson)
    for tree in model.get_all_trees():
        walk.nodes.roots.append(walk.add(tree.root))
    start = float(model.initial_predictions()[0])
    return Trees(lesson.features, walk.nodes, start=start, is_binary=lesson.is_binary)


class _Walk:
    def __init__(self, model: Any, lesson: Lesson) -> None:
        self.nodes = Nodes()
        self._spec = model.data_spec().columns
        self._places = {name: place for place, name in enumerate(columns_of(lesson))}
        self._ids = lesson.features.ids

    def add(self, node: AbstractNode) -> int:
        """The place of `node`, behind which its children are."""
        nodes, place = self.nodes, len(self.nodes.columns)
        for values, default in self._lists(place):
            values.append(default)
        if isinstance(node, Leaf):
            nodes.values[place] = node.value.value
            return place
        assert isinstance(node, NonLeaf)
        self._set_condition(node.condition, place)
        nodes.positive[place] = self.add(node.pos_child)
        nodes.negative[place] = self.add(node.neg_child)
        return place

    def _lists(self, place: int) -> Iterator[tuple[list[Any], Any]]:
        nodes = self.nodes
        yield from ((nodes.columns, 0), (nodes.thresholds, 0.5), (nodes.masks, _NO_MASK), (nodes.values, 0.0))
        yield from ((nodes.positive, place), (nodes.negative, place))

    def _set_condition(self, condition: Any, place: int) -> None:
        nodes, column = self.nodes, self._spec[condition.attribute]
        nodes.columns[place] = self._places[column.name]
        match condition:
            case NumericalHigherThanCondition():
                nodes.thresholds[place] = condition.threshold
            case IsTrueCondition():
                pass
            case CategoricalIsInCondition():
                nodes.masks[place] = len(nodes.bits)
                nodes.bits += self._bits(condition, column, self._ids[column.name])
            case _:
                raise NotImplementedError(f"YDF made a split of another kind: {type(condition).__name__}")

    def _bits(self, condition: Any, column: Any, ids: Ids) -> list[bool]:
        """For each code, whether it goes to the positive child; one without a place of its own goes with 0."""
        wanted = set(condition.mask)
        by_code = {int(code): item.index in wanted for code, item in column.categorical.items.items() if code.isdigit()}
        rest = by_code.get(0, 0 in wanted)
        return [by_code.get(code, rest) for code in range(len(ids.known) + 1)]


def _constant(values: Any, dtype: Any) -> tf.Variable:
    return tf.Variable(values, trainable=False, dtype=dtype)
