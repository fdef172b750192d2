"""Traffic against a gateway that draws lists at random: who comes, what is clicked, what is told, and when."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipelines.errors import DaybreakError, TransientError
from pipelines.shop import connection
from pipelines.shop.connection import Connection
from pipelines.shop.simulator import click_probability
from pipelines.shop.traffic import main
from pipelines.shop.visits import LATE_SECS, Due, Visit, audience, follow_ups, visits
from pipelines.shop.world import POSITIONS, World

HOUR = datetime.datetime(2026, 1, 6, 13, tzinfo=datetime.UTC)
USERS = 5000


class Gateway:
    """Draws by the request alone, so that it draws the same again."""

    def __init__(self) -> None:
        self.lists: list[tuple[float, Any]] = []
        self.told: list[tuple[float, Any]] = []
        self.answers: list[int] = []
        """Before it is itself."""

    async def serve(self, work: Callable[[int], Any]) -> Any:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        async with server:
            return await work(server.sockets[0].getsockname()[1])

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
                body = json.loads(await reader.readexactly(int(fields["Content-Length"])))
                status = self.answers.pop(0) if self.answers else 200
                answer = self._answer(float(fields["x-simulated-time"]), body) if status == 200 else {"error": "no"}
                content = json.dumps(answer).encode()
                writer.write(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%b" % (status, len(content), content))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, at: float, body: Any) -> Any:
        if "outcomes" in body:
            self.told += [(at, outcome) for outcome in body["outcomes"]]
            return {"recorded": len(body["outcomes"])}
        self.lists.append((at, body))
        ids = [candidate["item_id"] for candidate in body["candidates"]]
        decision = f"{body['context']['user_id']} {at:.6f}"
        order = np.random.default_rng(int(at * 1e6) % 2**32).permutation(len(ids))
        return {"decision_id": decision, "items": [ids[i] for i in order[: body["count"]]], "arm": "champion"}


def send(gateway: Gateway, pending: Path, *, hours: int = 1, start: datetime.datetime = HOUR) -> int:
    def work(port: int) -> Any:
        words = ["--gateway", f"http://127.0.0.1:{port}", "--from", start.isoformat(), "--hours", str(hours)]
        words += ["--visits", "4800", "--users", str(USERS), "--pending", str(pending)]
        return asyncio.to_thread(main, words)

    found: int = asyncio.run(gateway.serve(work))
    return found


@pytest.fixture(scope="module")
def hour() -> list[Visit]:
    return list(visits(audience(7, users=USERS), HOUR, count=1000))


def test_users_of_the_logs_stay_who_they_are_among_newcomers() -> None:
    known, all_users = World(7), audience(7, users=USERS)
    for name in ("user_taste", "user_drift", "user_country"):
        assert np.array_equal(getattr(known, name), getattr(all_users, name)[: known.user_count])


def test_the_probability_of_a_click_is_the_simulators(hour: list[Visit]) -> None:
    visit, context = hour[17], json.loads(hour[17].context)
    queries = {None: -1} | {name: number for number, name in enumerate(_categories())}
    query = queries[context["query"].split(" ")[0] or None]
    items, number = visit.candidates[:POSITIONS], POSITIONS
    expected = click_probability(
        visit.world,
        HOUR.date(),
        users=np.full(number, int(context["user_id"][1:])),
        items=items,
        positions=np.arange(number),
        query=np.full(number, query),
    )
    assert np.array_equal(visit.probabilities[np.arange(number), np.arange(number)], expected)


def _categories() -> tuple[str, ...]:
    from pipelines.shop.world import CATEGORIES

    return CATEGORIES


def test_clicks_are_as_many_as_the_truth_says(hour: list[Visit]) -> None:
    shown = [[f"i{item}" for item in visit.candidates[:POSITIONS]] for visit in hour]
    clicks = sum(len(visit.clicks(items)) for visit, items in zip(hour, shown, strict=True))
    expected = sum(visit.expected(items) for visit, items in zip(hour, shown, strict=True))
    assert abs(clicks - expected) < 4 * np.sqrt(expected)


def test_an_item_is_clicked_as_often_in_another_list_as_its_place_allows(hour: list[Visit]) -> None:
    for visit in hour[:200]:
        item = f"i{visit.candidates[0]}"
        others = [f"i{other}" for other in visit.candidates[1:POSITIONS]]
        if item in visit.clicks([*others, item]):
            assert item in visit.clicks([item, *others])


def test_what_follows_is_dated_when_it_happened_and_sent_after_it(hour: list[Visit]) -> None:
    found = [due for visit in hour for due in follow_ups(visit, f"d{visit.key}", ["i3", "i200"])]
    by_name = Counter(due.outcome["name"] for due in found)
    assert set(by_name) == {"clicked", "click_value", "revenue"}
    assert all(due.at > due.outcome["time"] for due in found)
    late = sum(due.at - due.outcome["time"] > 60 for due in found) / len(found)
    assert 0.01 < late < 0.06
    assert max(due.at - due.outcome["time"] for due in found) < LATE_SECS + 60
    ids = [(due.outcome["decision_id"], due.outcome["outcome_id"]) for due in found]
    assert 0.005 < 1 - len(set(ids)) / len(ids) < 0.02
    days = {
        round((due.outcome["time"] - HOUR.timestamp()) / 86_400) for due in found if due.outcome["name"] == "revenue"
    }
    assert days == {0, 1, 2, 3}


def test_traffic_tells_what_was_clicked_when_it_is_due_and_keeps_the_rest(tmp_path: Path) -> None:
    gateway = Gateway()
    assert send(gateway, tmp_path / "pending.json") == 0
    assert len(gateway.lists) == 200
    end = HOUR.timestamp() + 3600
    assert all(HOUR.timestamp() <= at < end for at, _ in gateway.lists)
    assert all(outcome["time"] < at <= end for at, outcome in gateway.told)
    clicked = {
        (outcome["decision_id"], outcome["item_id"]) for _, outcome in gateway.told if outcome["name"] == "clicked"
    }
    assert len(clicked) > 50
    pending = msgspec.json.decode((tmp_path / "pending.json").read_bytes(), type=list[Due])
    assert pending and all(due.at > end for due in pending)


def test_hour_by_hour_it_is_the_same_traffic(tmp_path: Path) -> None:
    whole, parts, later = Gateway(), Gateway(), HOUR + datetime.timedelta(hours=1)
    assert send(whole, tmp_path / "whole.json", hours=2) == 0
    assert send(parts, tmp_path / "parts.json") == 0
    assert send(parts, tmp_path / "parts.json", start=later) == 0
    for found in ("lists", "told"):
        one, other = (sorted(map(repr, getattr(each, found))) for each in (whole, parts))
        assert one == other


def test_a_busy_gateway_is_asked_again_and_one_that_refuses_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connection, "PAUSE_SECS", 0.01)
    gateway = Gateway()
    gateway.answers = [429, 503, 503]
    assert send(gateway, tmp_path / "pending.json") == 0
    assert len(gateway.lists) == 200
    gateway.answers = [400]
    assert send(gateway, tmp_path / "pending.json") == DaybreakError.exit_code
    assert "refused /v1/models/shop:decide. Received: 400" in capsys.readouterr().err


def test_nobody_at_the_address_is_told_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PAUSE_SECS", 0.0)

    async def ask() -> bytes:
        async with Connection("127.0.0.1", 1) as one:
            return await one.post("/v1/outcomes", b"{}", at=1.0)

    with pytest.raises(TransientError, match="does not answer"):
        asyncio.run(ask())


@pytest.mark.parametrize("start", ["tomorrow", "2026-01-06T13:30"])
def test_it_begins_at_a_whole_hour(start: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--gateway", "http://127.0.0.1:1", "--from", start]) != 0
    assert start in capsys.readouterr().err
