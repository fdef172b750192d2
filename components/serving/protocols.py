"""The two protocols: requests as bytes to rows, predictions to bytes.

    protocols = Protocols(columns, name="shop", version="1")
    request = protocols.read_predict(b'{"instances": [{"price": 9.5}]}')
    protocols.write_predict(request, predictions)

TensorFlow Serving's REST interface: https://www.tensorflow.org/tfx/serving/api_rest. Open Inference Protocol V2:
https://github.com/kserve/open-inference-protocol. Both write errors as `{"error": "…"}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from components.serving.binary_tensors import SIZE, Blobs, read_values, split_body
from components.serving.columns import Binary, Column, row_type, values_of
from components.serving.engine import COLUMNS, EXAMPLES, OUTPUT, InputError, Predictions
from pipelines.errors import bounded

DATATYPES = {"text": "BYTES", "int": "INT64", "float": "FP32"}


class _Instance(Struct, forbid_unknown_fields=True):  # type: ignore[call-arg]
    """A tf.Example: `{"b64": "…"}` or `{"examples": {"b64": "…"}}`."""

    b64: bytes | None = None
    examples: Binary | None = None


class _Examples(Struct, forbid_unknown_fields=True):  # type: ignore[call-arg]
    instances: Annotated[list[_Instance], Meta(min_length=1)]
    signature_name: str = EXAMPLES


class Tensor(Struct):
    """An input of the Open Inference Protocol: its values in `data`, or behind the JSON."""

    name: str
    shape: list[Annotated[int, Meta(ge=0)]]
    datatype: str
    data: list[Any] | None = None
    parameters: dict[str, Any] = {}


class _InferRequest(Struct):
    inputs: Annotated[list[Tensor], Meta(min_length=1)]
    id: str = ""


class Request(Struct):
    rows: Sequence[Struct] = ()
    examples: Sequence[bytes] = ()
    """Serialized tf.Examples, instead of rows."""
    by_column: bool = False
    id: str = ""


class Protocols:
    def __init__(self, columns: Sequence[Column], *, name: str, version: str) -> None:
        self._columns, self._name, self._version = tuple(columns), name, version
        self._row = row = row_type(columns)
        predict = msgspec.defstruct(
            "PredictRequest",
            [
                ("instances", Annotated[list[row], Meta(min_length=1)] | None, None),  # type: ignore[valid-type]
                ("inputs", dict[str, list[Any]] | None, None),
                ("signature_name", str, ""),
            ],
            forbid_unknown_fields=True,
        )
        self._predict: msgspec.json.Decoder[Any] = msgspec.json.Decoder(predict)
        self._examples = msgspec.json.Decoder(_Examples)
        self._infer = msgspec.json.Decoder(_InferRequest)
        self._encode = msgspec.json.Encoder().encode

    def example_row(self) -> Struct:
        """Zeros and empty texts: enough to run the model."""
        zero: dict[str, Any] = {"text": "", "int": 0, "float": 0.0}
        filled = {
            column.name: [zero[column.kind]] * prod(column.shape) if len(column.shape) == 1 else _nested(column, zero)
            for column in self._columns
            if column.shape is not None
        }
        row: Struct = msgspec.convert(filled, self._row)
        return row

    def read_predict(self, body: bytes) -> Request:
        """Raises `InputError` or `msgspec.MsgspecError`, which name the field."""
        try:
            found = self._predict.decode(body)
        except msgspec.ValidationError:
            if b'"b64"' not in body or (examples := self._read_examples(body)) is None:
                raise
            return examples
        if found.signature_name not in ("", COLUMNS):
            allowed = f"{COLUMNS}, or {EXAMPLES} with base64 tf.Examples as instances"
            raise InputError(f"`signature_name` must be {allowed}. Received: {found.signature_name[:100]!r}")
        if (found.instances is None) == (found.inputs is None):
            raise InputError("a request must hold `instances` (rows) or `inputs` (columns), and not both")
        if found.inputs is None:
            if found.signature_name:
                return Request(self._without_padding(found.instances))
            return Request(found.instances)
        rows = self._rows(found.inputs)
        return Request(self._without_padding(rows) if found.signature_name else rows, by_column=True)

    def write_predict(self, request: Request, predictions: Predictions) -> bytes:
        key = "outputs" if request.by_column else "predictions"
        return self._encode({key: predictions.tolist()})

    def read_infer(self, body: bytes, *, json_bytes: bytes | None = None) -> Request:
        """`json_bytes`: the header that says how much of the body is JSON. Raises `InputError` or `msgspec.MsgspecError`, which name the field."""
        content, blobs = split_body(body, json_bytes)
        found = self._infer.decode(content)
        kinds = {column.name: DATATYPES[column.kind] for column in self._columns}
        for tensor in found.inputs:
            if kinds.get(tensor.name, tensor.datatype) != tensor.datatype:
                raise InputError(
                    f"`datatype` of input {tensor.name!r} must be {kinds[tensor.name]}. Received: {tensor.datatype[:20]!r}"
                )
        columns = {tensor.name: _rows_of(tensor, blobs) for tensor in found.inputs}
        blobs.require_end()
        return Request(self._without_padding(self._rows(columns)), id=found.id)

    def write_infer(self, request: Request, predictions: Predictions) -> bytes:
        output = {
            "name": OUTPUT,
            "shape": list(predictions.shape),
            "datatype": "FP32",
            "data": predictions.reshape(-1).tolist(),
        }
        answer = {"model_name": self._name, "model_version": self._version, "outputs": [output]}
        return self._encode(answer | ({"id": request.id} if request.id else {}))

    def describe_tensors(self) -> dict[str, Any]:
        """The model's inputs and outputs as the Open Inference Protocol tells them."""
        inputs = [
            {"name": column.name, "datatype": DATATYPES[column.kind], "shape": [-1, *(column.shape or (-1,))]}
            for column in self._columns
        ]
        return {"inputs": inputs, "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, -1]}]}

    def _read_examples(self, body: bytes) -> Request | None:
        try:
            found = self._examples.decode(body)
        except msgspec.ValidationError:
            return None
        examples = [item.b64 if item.examples is None else item.examples.b64 for item in found.instances]
        if found.signature_name != EXAMPLES or None in examples:
            return None
        return Request(examples=examples)

    def _rows(self, columns: dict[str, list[Any]]) -> list[Struct]:
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            shown = bounded(f"{name[:60]}: {length}" for name, length in lengths.items())
            raise InputError(f"all inputs must have the same number of rows, at least one. Received: {shown or 'none'}")
        names = list(columns)
        rows = [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        found: list[Struct] = msgspec.convert(rows, list[self._row])  # type: ignore[name-defined]
        return found

    def _without_padding(self, rows: Sequence[Struct]) -> list[Struct]:
        """Clients that send rectangles pad columns of any number of values, as the signature says."""
        values = [msgspec.structs.astuple(row) for row in rows]
        return [
            self._row(
                **{
                    f"c{index}": value if column.shape is not None else values_of(column, value, padded=True)
                    for index, (column, value) in enumerate(zip(self._columns, row, strict=True))
                }
            )
            for row in values
        ]


def _nested(column: Column, zero: dict[str, Any]) -> Any:
    value: Any = zero[column.kind]
    for size in reversed(column.shape or ()):
        value = [value] * size
    return value


def _rows_of(tensor: Tensor, blobs: Blobs) -> list[Any]:
    """The data of a tensor, flat or nested, as one entry per row; nulls are padding."""
    flat = list(_flat(_data(tensor, blobs)))
    if not tensor.shape or prod(tensor.shape) != len(flat):
        raise InputError(
            f"`shape` of input {tensor.name[:60]!r} must be [rows, values] and have as many values as `data`, {len(flat)}. "
            f"Received: {tensor.shape[:5]}"
        )
    rows, width = tensor.shape[0], prod(tensor.shape[1:])
    parts = [flat[row * width : (row + 1) * width] for row in range(rows)]
    return [_shaped([value for value in part if value is not None], tensor.shape[1:]) for part in parts]


def _data(tensor: Tensor, blobs: Blobs) -> list[Any]:
    size = tensor.parameters.get(SIZE)
    if (size is None) == (tensor.data is None):
        raise InputError(
            f"input {tensor.name[:60]!r} must have its values in `data`, or a `{SIZE}` among its parameters, and not both"
        )
    if tensor.data is not None:
        return tensor.data
    return read_values(tensor.datatype, blobs.take(size, name=tensor.name), name=tensor.name)


def _shaped(values: list[Any], shape: Sequence[int]) -> Any:
    if len(shape) < 2:
        return values
    width = prod(shape[1:])
    return [_shaped(values[index * width : (index + 1) * width], shape[1:]) for index in range(shape[0])]


def _flat(values: list[Any]) -> Any:
    for value in values:
        if type(value) is list:
            yield from _flat(value)
        else:
            yield value
