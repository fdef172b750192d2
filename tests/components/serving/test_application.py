"""Both protocols against a real model, without a socket."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from typing import Any

import httpx
import numpy as np
import pytest
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from components.serving.application import Application
from components.serving.asgi import Frame, Limits
from components.serving.engine import TensorFlowEngine
from tests.components.training.conftest import Transformed, example

PREDICT, INFER = "/v1/models/shop:predict", "/v2/models/shop/infer"


@pytest.fixture(scope="session")
def application(engine: TensorFlowEngine) -> Application:
    made = Application(name="shop", version="7", frame=Frame(Limits(body_bytes=100_000)))
    made.serve(engine)
    return made


def call(application: Application, method: str, path: str, body: Any = None) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.request(method, path, content=content)

    return asyncio.run(ask())


@pytest.fixture(scope="session")
def expected(application: Application, rows: list[dict[str, Any]]) -> list[list[float]]:
    response = call(application, "POST", PREDICT, {"instances": rows})
    assert response.status_code == 200
    found: list[list[float]] = response.json()["predictions"]
    assert np.shape(found) == (len(rows), 1)
    return found


def test_rows_and_columns_of_tensorflow_serving(
    application: Application, rows: list[dict[str, Any]], expected: list[list[float]]
) -> None:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for path in (PREDICT, "/v1/models/shop/versions/7:predict"):
        found = call(application, "POST", path, {"inputs": columns}).json()
        np.testing.assert_allclose(found["outputs"], expected, atol=1e-6)


def test_padded_rectangles_of_the_named_signature(
    application: Application, rows: list[dict[str, Any]], expected: list[list[float]]
) -> None:
    padding = int(np.iinfo(np.int64).min)
    padded = [
        row | {"brand": row["brand"] or [""], "views": (row["views"] + [padding] * 9)[:9], "price": [row["price"]]}
        for row in rows
    ]
    found = call(application, "POST", PREDICT, {"signature_name": "serve_columns", "instances": padded}).json()
    np.testing.assert_allclose(found["predictions"], expected, atol=1e-6)


@pytest.mark.parametrize("nested", [True, False])
def test_examples_of_the_default_signature(
    application: Application, transformed: Transformed, expected: list[list[float]], nested: bool
) -> None:
    coded = [{"b64": base64.b64encode(example(row)).decode()} for row in transformed.raw[: len(expected)]]
    instances = [{"examples": found} for found in coded] if nested else coded
    found = call(application, "POST", PREDICT, {"signature_name": "serving_default", "instances": instances}).json()
    np.testing.assert_allclose(found["predictions"], expected, atol=1e-6)


def test_open_inference_protocol(
    application: Application, rows: list[dict[str, Any]], expected: list[list[float]]
) -> None:
    count = len(rows)
    body = {
        "id": "request 9",
        "inputs": [
            {"name": "price", "shape": [count, 1], "datatype": "FP32", "data": [row["price"] for row in rows]},
            {"name": "item", "shape": [count, 1], "datatype": "BYTES", "data": [row["item"] for row in rows]},
            {
                "name": "brand",
                "shape": [count, 1],
                "datatype": "BYTES",
                "data": [value for row in rows for value in row["brand"] or [""]],
            },
            {
                "name": "views",
                "shape": [count, 4],
                "datatype": "INT64",
                "data": [value for row in rows for value in (row["views"] + [None] * 4)[:4]],
            },
        ],
        "outputs": [{"name": "predictions"}],
    }
    found = call(application, "POST", INFER, body).json()
    [output] = found.pop("outputs")
    assert found == {"model_name": "shop", "model_version": "7", "id": "request 9"}
    assert (output["name"], output["shape"], output["datatype"]) == ("predictions", [count, 1], "FP32")
    np.testing.assert_allclose(output["data"], np.reshape(expected, -1), atol=1e-6)


def test_status_and_metadata_are_those_of_the_real_protocol(application: Application) -> None:
    status = get_model_status_pb2.GetModelStatusResponse()
    json_format.Parse(call(application, "GET", "/v1/models/shop").content, status)
    assert [(found.version, found.state) for found in status.model_version_status] == [(7, status.model_version_status[0].AVAILABLE)]  # fmt: skip

    metadata = get_model_metadata_pb2.GetModelMetadataResponse()
    answer = call(application, "GET", "/v1/models/shop/metadata").json()
    signatures = get_model_metadata_pb2.SignatureDefMap()
    json_format.ParseDict({"signature_def": answer["metadata"]["signature_def"]["signature_def"]}, signatures)
    assert set(signatures.signature_def["serve_columns"].inputs) == {"brand", "item", "price", "views"}
    json_format.ParseDict({"model_spec": answer["model_spec"]}, metadata)
    assert (metadata.model_spec.name, metadata.model_spec.version.value) == ("shop", 7)

    described = call(application, "GET", "/v2/models/shop").json()
    assert described["versions"] == ["7"]
    assert {"name": "views", "datatype": "INT64", "shape": [-1, -1]} in described["inputs"]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (PREDICT, b"{", "truncated"),
        (PREDICT, b'{"instances": [{"item": "a", "price": NaN}]}', "malformed"),
        (PREDICT, b'{"instances": [{"item": "a", "price": 1e999}]}', "price"),
        (PREDICT, b'{"instances": [{"item": "\\ud800", "price": 1}]}', "surrogate"),
        (PREDICT, b'{"instances": [{"item": "\xff", "price": 1}]}', "utf-8"),
        (PREDICT, {"instances": [{"item": "a"}]}, "`price` - at `$.instances[0]`"),
        (PREDICT, {"instances": [{"item": "a", "price": 1, "views": ["x"]}]}, "`$.instances[0].views[0]`"),
        (PREDICT, {"instances": [{"item": "a", "price": 1, "views": [1] * 10}]}, "the model refuses"),
        (PREDICT, {"instances": []}, "`$.instances`"),
        (PREDICT, {}, "`instances` (rows) or `inputs` (columns)"),
        (PREDICT, {"inputs": {"item": ["a"], "price": [1, 2]}}, "item: 1, price: 2"),
        (PREDICT, {"inputs": {"item": ["a"]}}, "`price`"),
        (PREDICT, {"instances": [{"item": "a", "price": 1}], "signature_name": "x"}, "serve_columns"),
        (PREDICT, {"signature_name": "serving_default", "instances": [{"b64": "AAAA"}]}, "the model refuses"),
        (INFER, {"inputs": []}, "`$.inputs`"),
        (INFER, {"inputs": [{"name": "price", "shape": [1, 1], "datatype": "FP64", "data": [1]}]}, "must be FP32"),
        (INFER, {"inputs": [{"name": "price", "shape": [2, 1], "datatype": "FP32", "data": [1]}]}, "`shape`"),
        (INFER, {"inputs": [{"name": "price", "shape": [1, 1], "datatype": "FP32", "data": [1]}]}, "`item`"),
        (INFER, {"inputs": [{"name": "price", "shape": [10**9, 10**9], "datatype": "FP32", "data": []}]}, "`shape`"),
    ],
)
def test_what_a_client_did_wrong_is_said(application: Application, path: str, body: Any, message: str) -> None:
    response = call(application, "POST", path, body)
    assert response.status_code == 400
    assert message.lower() in response.json()["error"].lower()
    assert "Traceback" not in response.text


def test_no_malformed_request_is_the_servers_fault(application: Application, rows: list[dict[str, Any]]) -> None:
    """Valid requests with a piece cut out, doubled or replaced."""
    chance = random.Random(11)
    valid = json.dumps({"instances": rows[:2]}).encode()
    statuses = set()
    for _ in range(400):
        body, start = bytearray(valid), chance.randrange(len(valid))
        piece = chance.choice(
            [b"", b"{", b"]", b"null", b"-1", b'"', b"\x00", b"1e400", b"[[[", valid[start : start + 9]]
        )
        body[start : start + chance.randrange(1, 12)] = piece
        response = call(application, "POST", chance.choice([PREDICT, INFER]), bytes(body))
        statuses.add(response.status_code)
        assert response.status_code in (200, 400), (bytes(body), response.text)
    assert 400 in statuses


def test_deep_nesting_is_refused(application: Application) -> None:
    body = b'{"inputs": {"price": ' + b"[" * 40_000 + b"]" * 40_000 + b"}}"
    assert call(application, "POST", PREDICT, body).status_code == 400


def test_other_errors_have_their_status(application: Application) -> None:
    assert call(application, "POST", PREDICT, b"x" * 100_001).status_code == 413
    assert call(application, "GET", "/v1/models/other").status_code == 404
    wrong = call(application, "GET", PREDICT)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


def test_before_ready_and_while_draining(engine: TensorFlowEngine, rows: list[dict[str, Any]]) -> None:
    application = Application(name="shop", version="1")
    assert call(application, "GET", "/v2/health/live").status_code == 200
    assert call(application, "GET", "/v2/health/ready").status_code == 503
    early = call(application, "POST", PREDICT, {"instances": rows[:1]})
    assert (early.status_code, early.headers["retry-after"]) == (503, "1")
    assert "LOADING" in call(application, "GET", "/v1/models/shop").text

    application.serve(engine)
    assert call(application, "GET", "/v2/health/ready").status_code == 200
    application.frame.drain()
    assert call(application, "GET", "/v2/health/ready").status_code == 503
    assert call(application, "GET", "/v2/health/live").status_code == 200
    last = call(application, "POST", PREDICT, {"instances": rows[:1]})
    assert (last.status_code, last.headers["connection"]) == (200, "close")


def test_an_engine_that_fails_is_a_500_without_its_trace(engine: TensorFlowEngine, rows: list[dict[str, Any]]) -> None:
    class Broken(TensorFlowEngine):
        def __init__(self) -> None:
            self.columns, self.signatures, self.broken = engine.columns, {}, False

        def predict(self, rows: Any) -> Any:
            if self.broken:
                raise KeyError("secret")
            return np.zeros((len(rows), 1), np.float32)

    application, broken = Application(name="shop", version="1"), Broken()
    application.serve(broken)
    broken.broken = True
    response = call(application, "POST", PREDICT, {"instances": rows[:1]})
    assert response.status_code == 500
    assert "secret" not in response.text
