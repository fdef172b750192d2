"""Against the server of this project as a process, and against one that misbehaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from msgspec import Struct

from components.serving.batching import REMOTE_CALLS, Batcher
from components.serving.columns import row_type
from components.serving.engine import InputError, TensorFlowEngine
from components.serving.engines.addresses import Address
from components.serving.engines.loading import load_engine
from components.serving.engines.readiness import require_ready
from components.serving.engines.remote import RemoteEngine
from components.serving.protocols import Protocols
from pipelines.errors import SpecError, TransientError
from tests.components.serving.engines.scripted import Scripted
from tests.components.serving.test_engine import structs
from tests.components.serving.test_server import Server


@pytest.fixture(scope="module")
def own_server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Server(model, tmp_path_factory.mktemp("server"))
    with server.client() as client:
        with pytest.raises(TransientError, match="503|LOADING"):
            require_ready(Address.parse(f"{str(client.base_url).rstrip('/')}/v1/models/shop"))
        while client.get("/v2/health/ready").status_code != 200:
            assert server.process.poll() is None
            time.sleep(0.05)
        yield str(client.base_url).rstrip("/")
    server.process.kill()
    server.process.wait()


@pytest.mark.parametrize("path", ["/v1/models/shop", "/v1/models/shop/versions/1", "/v2/models/shop"])
def test_answers_are_those_of_the_model_in_this_process(
    own_server: str, path: str, engine: TensorFlowEngine, rows: list[dict[str, Any]]
) -> None:
    require_ready(Address.parse(own_server + path))
    remote = load_engine(own_server + path)
    assert isinstance(remote, RemoteEngine) and remote.columns == engine.columns
    some_missing = structs(engine, [*rows, rows[0] | {"brand": None, "views": None}, rows[1] | {"views": [1, 2]}])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(remote.predict, [some_missing, *([row] for row in some_missing)]))
    expected = engine.predict(some_missing)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    np.testing.assert_allclose(np.concatenate(found[1:]), expected, atol=1e-6)
    with pytest.raises(InputError, match="the model refuses these values"):
        remote.predict(structs(engine, [rows[0] | {"views": list(range(10))}]))


def test_an_empty_text_is_told_from_a_missing_one_or_refused(
    own_server: str, engine: TensorFlowEngine, rows: list[dict[str, Any]]
) -> None:
    empty = structs(engine, [rows[0] | {"brand": ""}])
    v1, v2 = (load_engine(f"{own_server}/{protocol}/models/shop") for protocol in ("v1", "v2"))
    np.testing.assert_allclose(v1.predict(empty), engine.predict(empty), atol=1e-6)
    with pytest.raises(InputError, match="'brand' holds a value that also means padding"):
        v2.predict(empty)
    with pytest.raises(InputError, match="columns only"):
        v2.predict_examples([b""])


def test_a_model_that_is_not_there_is_no_fault_of_the_rows(own_server: str) -> None:
    for path in ("/v1/models/other", "/v2/models/shop/versions/9"):
        with pytest.raises(TransientError, match="status 404"):
            load_engine(own_server + path)
        with pytest.raises(TransientError, match="status 404"):
            require_ready(Address.parse(own_server + path))


def made(scripted: Scripted, *, timeout_secs: float = 0.3) -> tuple[RemoteEngine, list[Struct]]:
    engine = RemoteEngine(Address.parse(scripted.uri()), timeout_secs=timeout_secs)
    row = {"country": "de", "item_id": "i1", "position": 0}
    kind = row_type(engine.columns)
    rows: list[Struct] = msgspec.convert([row | {"price": float(price)} for price in range(3)], list[kind])  # type: ignore[valid-type]
    return engine, rows


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("slow", "timed out"),
        ("drip", "timed out"),
        ("dies", "RemoteDisconnected|reset"),
        (404, "status 404: as told"),
        (429, "status 429"),
        (500, "status 500: as told"),
        (b"<html>", "no predictions"),
        (b"{}", "no predictions"),
        (b'{"outputs": []}', "no predictions"),
        (b'{"outputs": [{"name": "predictions", "shape": [2, 1], "data": [1, 2]}]}', "3 rows were asked for"),
        (b'{"outputs": [{"name": "predictions", "shape": [3, 1], "data": [1, 2]}]}', "no predictions"),
        (b'{"outputs": [{"name": "predictions", "shape": [3, 1], "data": [1, 2, "x"]}]}', "no predictions"),
    ],
)
def test_a_server_that_fails_is_told_from_rows_that_are_refused(
    scripted: Scripted, mode: str | int | bytes, said: str
) -> None:
    engine, rows = made(scripted)
    np.testing.assert_allclose(engine.predict(rows)[:, 0], [0.17, 0.18, 0.19], atol=1e-6)
    scripted.mode = mode
    with pytest.raises(TransientError, match=said) as failed:
        engine.predict(rows)
    assert scripted.uri() in str(failed.value)
    scripted.mode = "refuses"
    with pytest.raises(InputError, match="no such brand"):
        engine.predict(rows)
    scripted.mode = "well"
    assert engine.predict(rows).shape == (3, 1)


def test_connections_are_kept_and_one_that_was_closed_is_no_failure(scripted: Scripted) -> None:
    engine, rows = made(scripted)
    for _ in range(5):
        engine.predict(rows)
    assert scripted.connections == 1
    scripted.closes_idle = True
    for _ in range(3):
        engine.predict(rows)
    assert scripted.connections == 3


def test_a_server_that_is_gone_is_a_failure(scripted: Scripted) -> None:
    engine, rows = made(scripted)
    scripted.server.server_close()
    engine.close()
    with pytest.raises(TransientError, match="refused|reset"):
        engine.predict(rows)


def test_what_does_not_describe_a_model_of_ours_is_said(scripted: Scripted) -> None:
    with pytest.raises(TransientError, match="does not say what the model takes"):
        load_engine(scripted.uri(protocol="v1"))
    with pytest.raises(SpecError, match="http"):
        load_engine("http://host/shop")


@pytest.mark.parametrize("uri", ["http://h/v3/models/a", "http:///v1/models/a", "http://h:x/v1/models/a", "http://h/v1/models/a:predict"])  # fmt: skip
def test_an_address_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(SpecError, match="a model on another server is"):
        Address.parse(uri)


def test_addresses_are_read() -> None:
    found = Address.parse("https://serve.internal/team/v2/models/shop/versions/7/")
    assert (found.host, found.port, found.secure, found.protocol) == ("serve.internal", 443, True, "v2")
    assert found.path == "/team/v2/models/shop/versions/7"


def test_calls_never_hold_up_the_event_loop_and_several_wait_at_a_time(scripted: Scripted) -> None:
    engine, rows = made(scripted, timeout_secs=5)
    batcher = Batcher(engine)
    batcher.warm_up([Protocols(engine.columns, name="shop", version="7").example_row()])
    batcher._mean_secs = 0.0001
    assert not batcher.inline and not batcher.quick, "however quick it has been"
    scripted.mode, scripted.asked = "slow", 0

    async def work() -> None:
        answers = []
        for _ in range(REMOTE_CALLS):
            answers.append(batcher.predict(rows))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert batcher.busy_secs > 0, "all are busy"
        late = [batcher.predict(rows) for _ in range(3)]
        first = (await asyncio.gather(*answers, *late))[0]
        assert first.millis >= scripted.delay_secs * 1000, "wall time: the other process has the CPU"
        assert batcher.busy_secs == 0

    asyncio.run(work())
    assert scripted.asked == REMOTE_CALLS + 1, "those that waited are one call"
    batcher.close()


def test_a_server_that_fails_is_not_asked_again_for_each_request_of_a_batch(scripted: Scripted) -> None:
    engine, rows = made(scripted)
    batcher = Batcher(engine)

    async def ask() -> list[Any]:
        scripted.asked = 0
        return await asyncio.gather(*(batcher.predict(rows) for _ in range(5)), return_exceptions=True)

    scripted.mode = 500
    assert {type(found) for found in asyncio.run(ask())} == {TransientError}
    assert scripted.asked == 1
    scripted.mode = "refuses"
    assert {type(found) for found in asyncio.run(ask())} == {InputError}
    assert scripted.asked == 6, "the rows of one must not fail its neighbours"
    batcher.close()


def test_a_server_in_front_of_one_that_fails_answers_503(scripted: Scripted) -> None:
    from components.serving.application import Application

    application = Application(name="shop", version="7")
    engine, _ = made(scripted)
    application.serve(engine)
    scripted.mode = "dies"
    row = {"item_id": "i1", "position": 0, "price": 1.0}

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://s") as client:
            return await client.post("/v1/models/shop:predict", json={"instances": [row]})

    found = asyncio.run(ask())
    assert (found.status_code, found.headers["retry-after"]) == (503, "1")
    assert "127.0.0.1" not in found.text
