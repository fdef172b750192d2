"""What all servers have around their paths."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.serving.access_log import AccessLog
from components.serving.asgi import Exchange, Frame, HttpError, Limits, Route
from components.serving.measures import expose


async def echo(exchange: Exchange) -> bytes:
    await asyncio.sleep(0.01)
    return exchange.body or b"{}"


async def fail(exchange: Exchange) -> bytes:
    raise KeyError("secret")


async def refuse(exchange: Exchange) -> bytes:
    raise HttpError(404, "not here")


def frame(**options: Any) -> Frame:
    post = {"/echo": Route("echo", echo), "/fail": Route("fail", fail), "/refuse": Route("refuse", refuse)}
    return Frame(routes={"GET": {"/live": Route("live", echo)}, "POST": post}, **options)


def ask(server: Frame, *requests: tuple[str, str], **headers: str) -> list[httpx.Response]:
    async def work() -> list[httpx.Response]:
        transport = httpx.ASGITransport(server)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await asyncio.gather(*(client.request(*request, headers=headers) for request in requests))

    return asyncio.run(work())


def test_one_request_too_many_is_refused_at_once_and_health_is_not() -> None:
    server = frame(limits=Limits(in_flight=2))
    answers = ask(server, *[("POST", "/echo")] * 5, ("GET", "/live"))
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 429, 200]
    assert answers[2].headers["retry-after"] == "1"
    assert server.traffic.in_flight == 0
    assert [answer.status_code for answer in ask(server, ("POST", "/echo"), ("POST", "/fail"))] == [200, 500]
    assert server.traffic.in_flight == 0


@pytest.mark.parametrize(("given", "kept"), [("abc-1", True), ("x" * 129, False), ("a b", False), ("", False)])
def test_a_request_id_is_echoed_or_made(given: str, kept: bool) -> None:
    server = frame()
    first, second = ask(server, ("POST", "/echo"), ("POST", "/refuse"), **{"x-request-id": given})
    found = {first.headers["x-request-id"], second.headers["x-request-id"]}
    assert (found == {given}) == kept
    assert all(each and " " not in each for each in found)
    assert kept or len(found) == 2


def test_requests_are_counted_by_route_and_status() -> None:
    server = frame()
    ask(server, ("POST", "/echo"), ("POST", "/echo"), ("POST", "/fail"), ("GET", "/anything/at/all"))
    page = expose(server.traffic).decode()
    assert 'daybreak_requests_total{route="echo",status="200"} 2.0' in page
    assert 'daybreak_requests_total{route="fail",status="500"} 1.0' in page
    # Paths that clients make up are no labels.
    assert 'daybreak_requests_total{route="none",status="404"} 1.0' in page
    assert 'daybreak_request_seconds_bucket{le="0.0005",route="echo"} 0.0' in page
    assert 'daybreak_request_seconds_bucket{le="+Inf",route="echo"} 2.0' in page


def test_the_access_log_is_a_line_of_json_for_each_answer(tmp_path: Path) -> None:
    server = frame(access_log=AccessLog(tmp_path / "access.jsonl"))
    ask(server, ("POST", "/echo"), ("POST", "/fail"), **{"x-request-id": "r1"})
    lines = [json.loads(line) for line in (tmp_path / "access.jsonl").read_text().splitlines()]
    assert sorted((line["path"], line["status"], line["request_id"]) for line in lines) == [
        ("/echo", 200, "r1"),
        ("/fail", 500, "r1"),
    ]
    assert all(line["ms"] >= 0 and line["bytes"] > 0 for line in lines)


def test_a_full_disk_costs_no_answer() -> None:
    assert ask(frame(access_log=AccessLog(Path("/dev/full"))), ("POST", "/echo"))[0].status_code == 200
