"""Outputs that say of a row no more than the text in one column: what they are is asked once for all rows with that text.

    column_of = text_outputs(trace.graph, trace.inputs, trace.outputs)      # {"city_id": "city"}

A vocabulary lookup is such an output, and a day has few texts. Only operations that are known to keep rows apart count, and a
column qualifies whole or not at all: whatever reads it must then read texts instead of rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


class _Form(Enum):
    ROWS = auto()
    """`[rows, ...]`, each from its own row of the column."""
    VALUES = auto()
    """Of a sparse tensor, as are the next two."""
    INDICES = auto()
    SHAPE = auto()
    """A vector that begins with the number of rows."""
    COUNT = auto()
    """That number."""


class _Found(NamedTuple):
    columns: frozenset[str]
    form: _Form | None
    """None: rows may have met each other."""


_BY_ELEMENT = {
    *("AddV2", "AsString", "Cast", "Equal", "FloorMod", "Greater", "GreaterEqual", "Less", "LessEqual", "LogicalAnd"),
    *("LogicalNot", "LogicalOr", "LookupTableFindV2", "Maximum", "Minimum", "Mul", "NotEqual", "SelectV2"),
    *("StaticRegexFullMatch", "StaticRegexReplace", "StringJoin", "StringLength", "StringLower", "StringStrip"),
    *("StringToHashBucketFast", "StringToHashBucketStrong", "StringToNumber", "StringUpper", "Sub"),
}


def text_outputs(graph: tf.Graph, inputs: Mapping[str, Any], outputs: Mapping[str, tf.Tensor]) -> dict[str, str]:
    """Column by output."""
    found = dict(_fed(inputs))
    unfit = {name for name, value in inputs.items() if value.dtype != tf.string}
    reached = _reached([tensor.op for tensor in outputs.values()])
    for operation in graph.get_operations():  # in the order in which they were made: inputs come first
        met = [found.get(tensor.name) for tensor in operation.inputs]
        if operation.name in reached and any(met):
            columns = frozenset[str]().union(*(one.columns for one in met if one))
            form = _form(operation, [one and one.form for one in met]) if len(columns) == 1 else None
            unfit |= columns if form is None else set()
            found |= {tensor.name: _Found(columns, form) for tensor in operation.outputs}
    result = {name: found[tensor.name] for name, tensor in outputs.items() if tensor.name in found}
    for one in result.values():
        unfit |= one.columns if one.form is not _Form.ROWS else set()
    return {name: column for name, (columns, _) in result.items() for column in columns if not columns & unfit}


def _fed(inputs: Mapping[str, Any]) -> Iterator[tuple[str, _Found]]:
    for name, value in inputs.items():
        of = frozenset([name])
        match value:
            case tf.SparseTensor(indices=indices, values=values, dense_shape=shape):
                yield indices.name, _Found(of, _Form.INDICES)
                yield values.name, _Found(of, _Form.VALUES)
                yield shape.name, _Found(of, _Form.SHAPE)
            case tf.Tensor():
                yield value.name, _Found(of, _Form.ROWS)
            case _:
                for part in tf.nest.flatten(value, expand_composites=True):
                    yield part.name, _Found(of, None)


def _reached(operations: Sequence[tf.Operation]) -> set[str]:
    """Names of what `operations` need, assertions among them."""
    waiting, seen = list(operations), set[str]()
    while waiting:
        operation = waiting.pop()
        if operation.name not in seen:
            seen.add(operation.name)
            waiting += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
    return seen


def _form(operation: tf.Operation, inputs: Sequence[_Form | None]) -> _Form | None:
    """What the operation makes of a column; None among `inputs`: nothing of the column, or rows that may have met."""
    if operation.type in _BY_ELEMENT:
        return _by_element(operation, inputs)
    rule = _RULES.get(operation.type)
    return rule(operation, inputs) if rule else None


def _by_element(operation: tf.Operation, inputs: Sequence[_Form | None]) -> _Form | None:
    of_column = [tensor for tensor, form in zip(operation.inputs, inputs, strict=True) if form]
    forms, ranks = {form for form in inputs if form}, {tensor.shape.rank for tensor in of_column}
    others = [tensor for tensor, form in zip(operation.inputs, inputs, strict=True) if not form]
    if len(forms) != 1 or len(ranks) != 1 or None in ranks or any(tensor.shape.rank != 0 for tensor in others):
        return None  # broadcasting pairs rows with each other
    [form] = forms
    return form if form in (_Form.ROWS, _Form.VALUES) else None


def _first(operation: tf.Operation, inputs: Sequence[_Form | None]) -> _Form | None:
    """`shape[0]`."""
    bounds = [tf.get_static_value(tensor) for tensor in operation.inputs[1:]]
    masks = [operation.get_attr(f"{name}_mask") for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")]
    first = all(np.array_equal(value, [place]) for value, place in zip(bounds, [0, 1, 1], strict=True))
    return _Form.COUNT if inputs[0] is _Form.SHAPE and first and masks == [0, 0, 0, 0, 1] else None


def _pack(operation: tf.Operation, inputs: Sequence[_Form | None]) -> _Form | None:
    """`[count, width]`."""
    return _Form.SHAPE if inputs[0] is _Form.COUNT and not any(inputs[1:]) else None


def _to_dense(operation: tf.Operation, inputs: Sequence[_Form | None]) -> _Form | None:
    return _Form.ROWS if inputs == [_Form.INDICES, _Form.SHAPE, _Form.VALUES, None] else None


def _reshape(operation: tf.Operation, inputs: Sequence[_Form | None]) -> _Form | None:
    """Keeps as many numbers of each row."""
    before, after = operation.inputs[0].shape, tf.get_static_value(operation.inputs[1])
    if inputs[0] not in (_Form.ROWS, _Form.VALUES) or before.rank is None or after is None:
        return None
    rest = before[1:].as_list()
    kept = list(after[:1]) == [-1] and None not in rest and math.prod(rest) == math.prod(after[1:].tolist())
    return inputs[0] if kept and (inputs[0] is _Form.ROWS or len(after) == 1) else None


_RULES: dict[str, Callable[[tf.Operation, Sequence[_Form | None]], _Form | None]] = {
    "Identity": lambda _, inputs: inputs[0],
    "Pack": _pack,
    "Reshape": _reshape,
    "SparseToDense": _to_dense,
    "StridedSlice": _first,
}
