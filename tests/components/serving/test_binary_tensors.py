from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np
import pytest

from components.serving.binary_tensors import read_values, split_body
from components.serving.columns import Column
from components.serving.engine import InputError
from components.serving.protocols import Protocols

TEXTS = [b"de", b"", "é".encode()]
ENCODED = b"".join(struct.pack("<I", len(text)) + text for text in TEXTS)
NUMBERS = np.array([1.5, -2.0, 3.0], "<f4").tobytes()
PROTOCOLS = Protocols([Column("city", "text", (1,)), Column("fare", "float", (1,))], name="taxi", version="1")


def body_of(*tensors: dict[str, Any], blobs: bytes = b"") -> tuple[bytes, bytes]:
    """The body, and its header."""
    json = msgspec.json.encode({"inputs": list(tensors)})
    return json + blobs, str(len(json)).encode()


def rows_of(body: bytes, header: bytes) -> list[tuple[Any, ...]]:
    return [msgspec.structs.astuple(row) for row in PROTOCOLS.read_infer(body, json_bytes=header).rows]


def tensor(name: str, datatype: str, size: Any) -> dict[str, Any]:
    return {"name": name, "shape": [3, 1], "datatype": datatype, "parameters": {"binary_data_size": size}}


CITY, FARE = tensor("city", "BYTES", len(ENCODED)), tensor("fare", "FP32", len(NUMBERS))


def test_values_are_read_in_the_order_of_the_inputs() -> None:
    body, header = body_of(CITY, FARE, blobs=ENCODED + NUMBERS)
    assert rows_of(body, header) == [(["de"], [1.5]), ([""], [-2.0]), (["é"], [3.0])]


def test_binary_and_json_inputs_may_be_mixed() -> None:
    in_json = {"name": "city", "shape": [3, 1], "datatype": "BYTES", "data": ["a", "b", "c"]}
    body, header = body_of(in_json, FARE, blobs=NUMBERS)
    assert rows_of(body, header) == [(["a"], [1.5]), (["b"], [-2.0]), (["c"], [3.0])]


def test_integers_and_texts_that_are_not_utf_8() -> None:
    assert read_values("INT64", struct.pack("<2q", -1, 2**62), name="n") == [-1, 2**62]
    assert read_values("BYTES", struct.pack("<I", 1) + b"\xff", name="t") == [{"b64": "/w=="}]


@pytest.mark.parametrize(
    ("tensors", "blobs", "header", "message"),
    [
        ([CITY, FARE], ENCODED + NUMBERS[:-1], None, "of which 11 are left. Received: 12"),
        ([CITY, FARE], ENCODED + NUMBERS + b"x", None, "1 more"),
        ([CITY, tensor("fare", "FP32", 11)], ENCODED + NUMBERS[:-1], None, "whole numbers"),
        ([CITY, tensor("fare", "FP32", -4)], ENCODED, None, "Received: -4"),
        ([CITY, tensor("fare", "FP32", "12")], ENCODED + NUMBERS, None, "Received: 12"),
        ([tensor("city", "BYTES", 6), FARE], b"\xff\xff\xff\x7fde" + NUMBERS, None, "must end within"),
        ([CITY | {"data": []}, FARE], ENCODED + NUMBERS, None, "not both"),
        ([CITY, {"name": "fare", "shape": [3, 1], "datatype": "FP32"}], ENCODED, None, "not both"),
        ([CITY, FARE], ENCODED + NUMBERS, b"99999", "Received: 99999"),
        ([CITY, FARE], ENCODED + NUMBERS, b"-1", "Received: -1"),
    ],
)
def test_what_does_not_fit_is_said(
    tensors: list[dict[str, Any]], blobs: bytes, header: bytes | None, message: str
) -> None:
    body, length = body_of(*tensors, blobs=blobs)
    with pytest.raises(InputError, match=message):
        PROTOCOLS.read_infer(body, json_bytes=length if header is None else header)


def test_without_the_header_all_is_json() -> None:
    assert split_body(b"{}", None)[0] == b"{}"
