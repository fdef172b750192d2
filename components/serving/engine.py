"""What computes predictions: an interface, and TensorFlow in this process.

    engine = TensorFlowEngine(path)
    engine.predict(rows)             # [rows, outputs] float32; thread-safe

The SavedModel is loaded as TensorFlow Serving's C++ loader does, and called as a function of its session in the thread
of the caller: a batch of one takes half of what a signature's call takes, and no other thread wakes up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from components.serving.columns import AmbiguousError, Column, Kind, to_arrays, values_of
from pipelines.errors import SpecError, bounded

COLUMNS, EXAMPLES = "serve_columns", "serving_default"
OUTPUT = "predictions"

Predictions = npt.NDArray[np.float32]


class InputError(ValueError):
    """The model refuses these rows; the client can help it."""


class Engine(Protocol):
    @property
    def columns(self) -> tuple[Column, ...]: ...

    @property
    def signatures(self) -> dict[str, Any]:
        """`SignatureDef`s as JSON, for clients that ask what the model takes."""

    def predict(self, rows: Sequence[Struct]) -> Predictions:
        """`[rows, outputs]`. Raises `InputError`. Thread-safe."""

    def predict_examples(self, examples: Sequence[bytes]) -> Predictions:
        """The same of serialized tf.Examples."""

    def close(self) -> None:
        """Gives its memory back; nobody calls it any more."""


class Remote:
    """Base of engines that wait for another process: never on the event loop, and several calls at a time."""


class TensorFlowEngine:
    """A SavedModel of `components.training.export`."""

    columns_signature, examples_signature = COLUMNS, EXAMPLES
    """That are called, and which of their outputs are wanted."""
    outputs: tuple[str, ...] = (OUTPUT,)

    def __init__(self, path: Path) -> None:
        """Raises `SpecError` when the folder holds no such model."""
        import tensorflow as tf
        from google.protobuf import json_format

        self._errors = (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError, tf.errors.UnimplementedError)
        wanted: dict[str, tuple[str, ...]] = dict.fromkeys((COLUMNS, EXAMPLES), (OUTPUT,))
        wanted |= dict.fromkeys((self.columns_signature, self.examples_signature), self.outputs)
        session, signatures = _load(path, wanted)
        self.close = session.close
        self.columns = tuple(_column(name, found) for name, found in sorted(signatures[COLUMNS].inputs.items()))
        self.signatures = {
            name: json_format.MessageToDict(found, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
            for name, found in signatures.items() if name in (COLUMNS, EXAMPLES)
        }  # fmt: skip
        names = [column.name for column in self.columns]
        self._of_columns = _callable(session, signatures[self.columns_signature], names, self.outputs)
        self._of_examples = _callable(session, signatures[self.examples_signature], ["examples"], self.outputs)

    def predict(self, rows: Sequence[Struct]) -> Predictions:
        try:
            arrays = to_arrays(self.columns, rows)
        except AmbiguousError:
            return self.predict_examples([serialize(self.columns, row) for row in rows])
        return self._run(self._of_columns, arrays)

    def predict_examples(self, examples: Sequence[bytes]) -> Predictions:
        return self._run(self._of_examples, [np.array(list(examples), object)])

    def _run(self, function: Callable[..., Any], arrays: Sequence[npt.NDArray[Any]]) -> Predictions:
        predictions: Predictions
        [predictions] = self._call(function, arrays)
        return predictions

    def _call(self, function: Callable[..., Any], arrays: Sequence[npt.NDArray[Any]]) -> list[Any]:
        try:
            return list(function(*arrays))
        except self._errors as error:
            # The first line says what; those after it say where in the graph.
            raise InputError(f"the model refuses these values: {str(error.message).splitlines()[0][:300]}") from error


def serialize(columns: Sequence[Column], row: Struct) -> bytes:
    """As a tf.Example."""
    import tensorflow as tf

    example = tf.train.Example()
    for column, value in zip(columns, msgspec.structs.astuple(row), strict=False):
        feature = example.features.feature[column.name]
        kind = {"text": feature.bytes_list, "int": feature.int64_list, "float": feature.float_list}[column.kind]
        kind.value.extend(values_of(column, value))
    serialized: bytes = example.SerializeToString()
    return serialized


def _load(path: Path, outputs: Mapping[str, Sequence[str]]) -> tuple[Any, dict[str, Any]]:
    """The session and the signatures, each with outputs that it must have."""
    import tensorflow as tf

    # One thread per call: the server is scaled by processes, and a small model gains nothing from more.
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
    try:
        with session.graph.as_default():
            meta = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
    except (OSError, RuntimeError, ValueError, tf.errors.OpError) as error:
        raise SpecError(
            f"`--model` must be a SavedModel that TensorFlow Serving loads. Received: {type(error).__name__}: {error}",
            fix="export it as components.training.export does",
            place=str(path),
        ) from error
    signatures = {name: meta.signature_def[name] for name in outputs if name in meta.signature_def}
    if missing := [
        name
        for name, wanted in outputs.items()
        if name not in signatures or set(wanted) - set(signatures[name].outputs)
    ]:
        raise SpecError(
            f"the model must have the signatures {' and '.join(sorted(outputs, reverse=True))}, with the output `{OUTPUT}` "
            f"or what its LiteRT file reads. "
            f"Received: {bounded(sorted(meta.signature_def)) or 'none'}; not usable: {bounded(missing)}",
            fix="export it as components.training.export does",
            place=str(path),
        )
    return session, signatures


def _column(name: str, tensor: Any) -> Column:
    import tensorflow as tf

    kinds: dict[Any, Kind] = {tf.float32: "float", tf.int64: "int", tf.string: "text"}
    sizes = tuple(dim.size for dim in tensor.tensor_shape.dim)[1:]
    return Column(name, kinds[tf.as_dtype(tensor.dtype)], None if -1 in sizes else sizes)


def _callable(session: Any, signature: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Callable[..., Any]:
    from tensorflow.core.protobuf import config_pb2

    options = config_pb2.CallableOptions()
    options.feed.extend(signature.inputs[name].name for name in inputs)
    options.fetch.extend(signature.outputs[name].name for name in outputs)
    # In the thread of the caller. `Session.make_callable` takes no options.
    options.run_options.inter_op_thread_pool = -1
    made: Callable[..., Any] = session._make_callable_from_options(options)
    return made
