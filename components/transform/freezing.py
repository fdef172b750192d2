"""The part of a traced graph that one phase of analysis needs, with what earlier phases found as constants.

TensorFlow Transform traces, saves and loads a SavedModel per phase: seconds for some dozen analyzers, and every lookup
table of the later phases runs in the earlier ones. A part without state needs none of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from components.transform.graph import Feed, Frozen
from components.transform.tracing import Binding, Trace


def freeze(trace: Trace, bindings: Sequence[Binding], tensors: Mapping[str, Any]) -> Frozen | None:
    """What computes `tensors`, or None when that takes a table, a variable or a call with state."""
    constants = {_operation(bound.tensor): bound for bound in bindings}
    feeds = {_operation(feed.tensor): feed for feed in _feeds(trace.inputs)}
    definition = trace.graph.as_graph_def()
    definition.ClearField("node")
    used: list[Feed] = []
    for operation in _ancestors([tensor.op for tensor in tensors.values()], stop=constants):
        if feed := feeds.get(operation.name):
            used.append(feed)
        # A placeholder of no input is what the function captured: a table, a variable, a tensor made outside.
        elif operation.op_def.is_stateful or operation.type == "Placeholder":
            return None
        bound = constants.get(operation.name)
        definition.node.append(_constant(operation.name, bound) if bound else _without_control(operation.node_def))
    return Frozen(definition.SerializeToString(), tuple(used), {name: tensor.name for name, tensor in tensors.items()})


def _ancestors(operations: list[tf.Operation], stop: Mapping[str, Any]) -> Iterator[tf.Operation]:
    """`operations` and what they get data from; nothing beyond those in `stop`."""
    waiting, seen = list(operations), set[str]()
    while waiting:
        operation = waiting.pop()
        if operation.name not in seen:
            seen.add(operation.name)
            yield operation
            if operation.name not in stop:
                waiting.extend(tensor.op for tensor in operation.inputs)


def _without_control(node: tf.compat.v1.NodeDef) -> tf.compat.v1.NodeDef:
    """Control inputs order state and assertions, which the finished graph has."""
    data = [name for name in node.input if not name.startswith("^")]
    del node.input[:]
    node.input.extend(data)
    return node


def _constant(name: str, bound: Binding) -> tf.compat.v1.NodeDef:
    node = tf.compat.v1.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = bound.dtype
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(bound.value, tf.dtypes.as_dtype(bound.dtype)))
    return node


def _feeds(inputs: Mapping[str, Any]) -> Iterator[Feed]:
    for name, value in inputs.items():
        for index, component in enumerate(tf.nest.flatten(value, expand_composites=True)):
            yield Feed(component.name, name, index)


def _operation(tensor: str) -> str:
    return tensor.partition(":")[0]
