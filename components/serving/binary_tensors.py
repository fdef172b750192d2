"""Tensors behind the JSON of a request: the binary data extension of the Open Inference Protocol V2.

    json, blobs = split_body(body, exchange.header(HEADER))
    values = read_values(tensor.datatype, blobs.take(tensor.parameters["binary_data_size"]), name=tensor.name)

The header says how long the JSON is; each input whose parameters have `binary_data_size` has so many of the bytes behind it, in
order: numbers little-endian, texts each behind its length in four bytes
(https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np

from components.serving.engine import InputError

HEADER = b"inference-header-content-length"
SIZE = "binary_data_size"
_NUMBERS: dict[str, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "INT64": np.dtype("<i8")}
_LENGTH_BYTES = 4


class Blobs:
    """The bytes behind the JSON, taken from the front."""

    def __init__(self, content: bytes) -> None:
        self._content, self._taken = content, 0

    def take(self, size: Any, *, name: str) -> bytes:
        if type(size) is not int or not 0 <= size <= len(self._content) - self._taken:
            raise InputError(
                f"`{SIZE}` of input {name[:60]!r} must be the number of its bytes behind the JSON, of which "
                f"{len(self._content) - self._taken} are left. Received: {str(size)[:20]}"
            )
        found = self._content[self._taken : self._taken + size]
        self._taken += size
        return found

    def require_end(self) -> None:
        if left := len(self._content) - self._taken:
            raise InputError(
                f"every byte behind the JSON must belong to an input by its `{SIZE}`. Received: {left} more"
            )


def split_body(body: bytes, header: bytes | None) -> tuple[bytes, Blobs]:
    """Without the header all is JSON."""
    if header is None:
        return body, Blobs(b"")
    length = int(header) if header.isdigit() else -1
    if not 0 < length <= len(body):
        raise InputError(
            f"Inference-Header-Content-Length must be the bytes of JSON in the body, 1 to {len(body)}. "
            f"Received: {header[:20].decode(errors='replace')}"
        )
    return body[:length], Blobs(body[length:])


def read_values(datatype: str, content: bytes, *, name: str) -> list[Any]:
    if datatype == "BYTES":
        return [_as_json(text) for text in _texts(content, name=name)]
    kind = _NUMBERS.get(datatype)
    if kind is None or len(content) % kind.itemsize:
        raise InputError(
            f"binary data of input {name[:60]!r} must be BYTES, or whole numbers of {', '.join(_NUMBERS)}. "
            f"Received: {len(content)} bytes of {datatype[:20]}"
        )
    values: list[Any] = np.frombuffer(content, kind).tolist()
    return values


def _texts(content: bytes, *, name: str) -> Iterator[bytes]:
    place = 0
    while place < len(content):
        length = int.from_bytes(content[place : place + _LENGTH_BYTES], "little")
        place += _LENGTH_BYTES
        if place + length > len(content):
            raise InputError(
                f"a text of input {name[:60]!r} must end within the input's bytes. Received: {length} bytes"
            )
        yield content[place : place + length]
        place += length


def _as_json(text: bytes) -> Any:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(text).decode()}
