"""A digest of a phase of analysis: equal ones give equal partials of the same rows, in another process and on another day.

Constants that earlier phases found are part of it, so a phase behind quantiles is measured again as soon as those move.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig

from components.days.identity import code_key, key_of
from components.transform.graph import Frozen, Saved
from components.transform.measures import Measure
from components.transform.tracing import Binding, Trace

_CODE = ("components.transform", "components.aggregation", "components.examples.records")


def identity_of(
    trace: Trace,
    model: Frozen | Saved | None,
    bindings: Sequence[Binding],
    tensors: Mapping[str, Any],
    measures: Sequence[Measure],
    config: TensorAdapterConfig,
) -> str:
    # In order of name: that of a map is another one in every process.
    columns = [
        f"{name} {kind.SerializeToString(deterministic=True)!r}"
        for name, kind in sorted(config.tensor_representations.items())
    ]
    return key_of(
        code_key(*_CODE),
        str(config.arrow_schema),
        *columns,
        *(pickle.dumps(measure) for measure in measures),
        *_graph(trace, model, bindings, tensors),
    )


def _graph(
    trace: Trace, model: Frozen | Saved | None, bindings: Sequence[Binding], tensors: Mapping[str, Any]
) -> Iterator[str | bytes]:
    match model:
        case Frozen():
            definition = tf.compat.v1.GraphDef.FromString(model.graph_def)
            yield definition.SerializeToString(deterministic=True)
            yield repr((model.feeds, sorted(model.fetches.items())))
        case Saved():
            yield _whole_graph(trace)
            yield repr([(name, getattr(tensor, "name", str(tensor))) for name, tensor in tensors.items()])
            for bound in bindings:
                yield f"{bound.tensor} {bound.dtype} {_constant(bound.value)}"


def _whole_graph(trace: Trace) -> bytes:
    """All that was traced, but the places of files that analysis is still to write, which no two traces share."""
    definition = trace.graph.as_graph_def()
    definition.ClearField("versions")
    for node in definition.node:
        if node.op == "Const" and str(trace.folder).encode() in b"".join(node.attr["value"].tensor.string_val):
            node.attr["value"].tensor.ClearField("string_val")
    return bytes(definition.SerializeToString(deterministic=True))


def _constant(value: Any) -> str:
    """A vocabulary is bound by the path of its file."""
    if isinstance(value, str) and Path(value).is_file():
        return hashlib.sha256(Path(value).read_bytes()).hexdigest()
    array = np.asarray(value)
    return f"{array.dtype} {array.shape} {hashlib.sha256(pickle.dumps(array.tolist())).hexdigest()}"
