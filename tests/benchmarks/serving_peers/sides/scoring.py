"""The model as every peer calls it: loaded as TensorFlow's guide says, its column signature called on one request's rows.

    scorer = Scorer()                               # the model that BENCH_MODEL names
    scorer([{"user_id": "u7", "price": 9.5, …}])    # [[0.61]]

With `BENCH_ENGINE=session` it is called as Daybreak calls it, so that nothing but the server differs. It is imported in the
environments of the peers: TensorFlow and numpy only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

COLUMNS, OUTPUT = "serve_columns", "predictions"
Rows = Sequence[Mapping[str, Any]]


class Scorer:
    def __init__(self) -> None:
        path = os.environ["BENCH_MODEL"]
        self._call = _session(path) if os.environ.get("BENCH_ENGINE") == "session" else _signature(path)

    def __call__(self, rows: Rows) -> list[list[float]]:
        return self._call(rows)


def _signature(path: str) -> Any:
    loaded = tf.saved_model.load(path)
    function = loaded.signatures[COLUMNS]
    kinds = {name: spec.dtype for name, spec in function.structured_input_signature[1].items()}

    def call(rows: Rows) -> list[list[float]]:
        tensors = {name: tf.constant(_values(rows, name), dtype) for name, dtype in kinds.items()}
        return function(**tensors)[OUTPUT].numpy().tolist()

    call.model = loaded  # it is freed with its last reference
    return call


def _session(path: str) -> Any:
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
    with session.graph.as_default():
        meta = tf.compat.v1.saved_model.load(session, ["serve"], path)
    signature = meta.signature_def[COLUMNS]
    kinds = {name: tf.as_dtype(info.dtype).as_numpy_dtype for name, info in signature.inputs.items()}
    function = session._make_callable_from_options(_in_this_thread(signature))

    def call(rows: Rows) -> list[list[float]]:
        arrays = [_array(_values(rows, name), kind) for name, kind in kinds.items()]
        return function(*arrays)[0].tolist()

    return call


def _in_this_thread(signature: Any) -> Any:
    from tensorflow.core.protobuf import config_pb2

    options = config_pb2.CallableOptions()
    options.run_options.inter_op_thread_pool = -1
    options.feed.extend(info.name for info in signature.inputs.values())
    options.fetch.append(signature.outputs[OUTPUT].name)
    return options


def _array(values: list[list[Any]], kind: Any) -> Any:
    if kind in (object, np.object_):
        return np.array([[value.encode() for value in row] for row in values], object)
    return np.array(values, kind)


def _values(rows: Rows, name: str) -> list[list[Any]]:
    found = [row[name] for row in rows]
    return [value if isinstance(value, list) else [value] for value in found]
