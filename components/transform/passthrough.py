"""Vocabularies of a raw column, counted in the column itself: no text becomes a tensor, and no row meets the filter.

    source = source_of(tensor, trace.inputs)      # Source(column="city", filtered=True), or None: ask the graph
    count(batch, source)

Only tensors that hold exactly the column's values qualify. Anything else that happens to them is left to the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from tensorflow_transform.analyzers import _EMPTY_STRING_OR_NEWLINE_CHARS_REGEX

from components.transform import vocabulary

_SAME_VALUES = {"Identity", "Reshape", "ExpandDims", "Squeeze"}
_MASK = ("Squeeze", "Where", "Reshape", "LogicalNot", "StaticRegexFullMatch")
"""What `tft.vocabulary` does to text before it counts: it leaves out what a line of a file cannot hold."""


class Source(NamedTuple):
    column: str
    filtered: bool
    """Empty text and text with line breaks do not count."""


def source_of(tensor: tf.Tensor, inputs: Mapping[str, Any]) -> Source | None:
    """The column whose values `tensor` holds, all of them and nothing else."""
    start, filtered = tensor, False
    if tensor.op.type == "GatherV2":
        values, mask, _ = tensor.op.inputs
        start, filtered = _behind(values), True
        if not _is_text_filter(mask, of=start):
            return None
    column = _column(inputs, _behind_filling(_behind(start)) if filtered else _behind(start))
    return Source(column, filtered) if column else None


def count(batch: pa.RecordBatch, source: Source) -> pa.Table:
    """The column's tokens and their numbers; what does not count is looked for among distinct tokens, not rows."""
    counts = vocabulary.count(batch.column(source.column).flatten())
    if not source.filtered:
        return counts
    tokens = counts["token"]
    unfit = pc.equal(pc.binary_length(tokens), 0)
    for line_break in (b"\n", b"\r"):
        unfit = pc.or_(unfit, pc.match_substring(tokens, line_break))
    return counts.filter(pc.invert(unfit))


def _behind(tensor: tf.Tensor) -> tf.Tensor:
    while tensor.op.type in _SAME_VALUES:
        tensor = tensor.op.inputs[0]
    return tensor


def _behind_filling(tensor: tf.Tensor) -> tf.Tensor:
    """The values of a sparse tensor made dense with empty text, which does not count."""
    if tensor.op.type != "SparseToDense":
        return tensor
    _, _, values, default = tensor.op.inputs
    return _behind(values) if tf.get_static_value(default) == b"" else tensor


def _is_text_filter(mask: tf.Tensor, *, of: tf.Tensor) -> bool:
    for kind in _MASK:
        if mask.op.type != kind:
            return False
        operation, mask = mask.op, mask.op.inputs[0]
    return (
        operation.get_attr("pattern").decode() == _EMPTY_STRING_OR_NEWLINE_CHARS_REGEX and _behind(mask).name == of.name
    )


def _column(inputs: Mapping[str, Any], tensor: tf.Tensor) -> str | None:
    for name, value in inputs.items():
        values = value.values if isinstance(value, tf.SparseTensor) else value
        if values.name == tensor.name:
            return name
    return None
