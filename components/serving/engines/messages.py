"""What the two protocols say between a client and a model's server; `components.serving.protocols` is the other end.

TensorFlow Serving's REST interface: https://www.tensorflow.org/tfx/serving/api_rest. Open Inference Protocol V2:
https://github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from components.serving.columns import Column, Kind
from components.serving.engine import COLUMNS, EXAMPLES, OUTPUT, Predictions
from components.serving.protocols import DATATYPES
from pipelines.errors import SpecError, bounded

Arrays = Sequence[npt.NDArray[Any]]
_encode = msgspec.json.Encoder().encode
_V1_KINDS: dict[str, Kind] = {"DT_FLOAT": "float", "DT_INT64": "int", "DT_STRING": "text"}
_V2_KINDS: dict[str, Kind] = {"FP32": "float", "INT64": "int", "BYTES": "text"}


class Described(NamedTuple):
    columns: tuple[Column, ...]
    signatures: dict[str, Any]


class Messages(Protocol):
    """Paths are below the model's own."""

    description: str
    action: str
    takes_examples: bool

    def read_description(self, content: bytes, place: str) -> Described: ...

    def write(self, columns: Sequence[Column], arrays: Arrays) -> bytes | None:
        """None: only tf.Examples can say it."""

    def read(self, content: bytes) -> Predictions: ...


class _Dim(Struct):
    size: int


class _Shape(Struct):
    dim: list[_Dim] = []


class _Info(Struct):
    dtype: str
    tensor_shape: _Shape


class _Signature(Struct):
    inputs: dict[str, _Info] = {}
    outputs: dict[str, _Info] = {}


class _Answer(Struct):
    outputs: list[list[float]] | None = None
    predictions: list[list[float]] | None = None


class V1:
    description, action, takes_examples = "/metadata", ":predict", True

    def read_description(self, content: bytes, place: str) -> Described:
        raw = msgspec.json.decode(content)
        try:
            raw = raw["metadata"]["signature_def"]["signature_def"]
        except (KeyError, TypeError) as error:
            raise msgspec.ValidationError("the metadata has no signatures") from error
        # 64-bit numbers are texts in protobuf's JSON.
        found = msgspec.convert(raw, dict[str, _Signature], strict=False)
        for name in (EXAMPLES, COLUMNS):
            if name not in found or list(found[name].outputs) != [OUTPUT]:
                raise SpecError(
                    f"the model must have the signatures {EXAMPLES} and {COLUMNS} with the only output `{OUTPUT}`. "
                    f"Received: {bounded(sorted(found)) or 'none'}",
                    fix="export it as components.training.export does",
                    place=place,
                )
        shapes = {
            name: (info.dtype, [dim.size for dim in info.tensor_shape.dim])
            for name, info in found[COLUMNS].inputs.items()
        }
        return Described(_columns(shapes, _V1_KINDS, place), raw)

    def write(self, columns: Sequence[Column], arrays: Arrays) -> bytes | None:
        if any(column.kind == "float" and np.isnan(array).any() for column, array in zip(columns, arrays, strict=True)):
            # The padding of floats: TensorFlow Serving wants NaN, which strict JSON has not.
            return None
        inputs = {column.name: _texts(array) for column, array in zip(columns, arrays, strict=True)}
        return _encode({"signature_name": COLUMNS, "inputs": inputs})

    @staticmethod
    def write_examples(examples: Sequence[bytes]) -> bytes:
        # msgspec writes bytes as base64.
        return _encode({"signature_name": EXAMPLES, "instances": [{"b64": example} for example in examples]})

    def read(self, content: bytes) -> Predictions:
        found = msgspec.json.decode(content, type=_Answer)
        return np.array(found.predictions if found.outputs is None else found.outputs, np.float32)


class _Described(Struct):
    name: str
    datatype: str
    shape: list[int]


class _Metadata(Struct):
    inputs: list[_Described]
    outputs: list[_Described]


class _Output(Struct):
    name: str
    shape: list[int]
    data: list[Any]


class _Outputs(Struct):
    outputs: list[_Output]


class V2:
    description, action, takes_examples = "", "/infer", False

    def read_description(self, content: bytes, place: str) -> Described:
        found = msgspec.json.decode(content, type=_Metadata)
        if len(found.outputs) != 1 and OUTPUT not in {output.name for output in found.outputs}:
            raise SpecError(
                f"the model must have the output `{OUTPUT}`, or one only. "
                f"Received: {bounded(output.name for output in found.outputs) or 'none'}",
                fix="give the output that name",
                place=place,
            )
        shapes = {tensor.name: (tensor.datatype, tensor.shape) for tensor in found.inputs}
        return Described(_columns(shapes, _V2_KINDS, place), {})

    def write(self, columns: Sequence[Column], arrays: Arrays) -> bytes | None:
        """A NaN, the padding of floats, is written as null."""
        tensors = [
            {
                "name": column.name,
                "shape": array.shape,
                "datatype": DATATYPES[column.kind],
                "data": _texts(array.reshape(-1)),
            }
            for column, array in zip(columns, arrays, strict=True)
        ]
        return _encode({"inputs": tensors})

    def read(self, content: bytes) -> Predictions:
        outputs = msgspec.json.decode(content, type=_Outputs).outputs
        named = [output for output in outputs if output.name == OUTPUT] or outputs[:1]
        return np.array(named[0].data, np.float32).reshape(named[0].shape)


def _columns(
    shapes: Mapping[str, tuple[str, Sequence[int]]], kinds: Mapping[str, Kind], place: str
) -> tuple[Column, ...]:
    strange = [
        f"{name} ({kind}, {list(shape)})" for name, (kind, shape) in shapes.items() if kind not in kinds or not shape
    ]
    if strange or not shapes:
        raise SpecError(
            f"the model's inputs must be {', '.join(kinds)}, with the rows first. Received: {bounded(strange) or 'none'}",
            fix="export it as components.training.export does",
            place=place,
        )
    return tuple(
        Column(name, kinds[kind], None if -1 in shape[1:] else tuple(shape[1:]))
        for name, (kind, shape) in sorted(shapes.items())
    )


def _texts(array: npt.NDArray[Any]) -> Any:
    """As nested lists; texts that are no UTF-8 as both protocols' servers of ours take them."""
    values = array.tolist()
    return _plain(values) if array.dtype == object else values


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}
