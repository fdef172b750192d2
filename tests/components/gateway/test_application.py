"""Lists, outcomes, the clock, and requests that no honest client sends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.inference.choices import list_probabilities, log_odds
from tests.components.gateway.conftest import DECIDE, NOW, PREDICT, Gateway, decide, row, split_of

OUTCOMES = "/v1/outcomes"


def outcome(**changes: Any) -> dict[str, Any]:
    known = {"outcome_id": "o1", "decision_id": "g-1", "item_id": "i3", "name": "clicked", "value": 1.0, "time": NOW}
    return known | changes


def test_a_list_is_drawn_and_everything_that_it_was_drawn_from_is_logged(gateway: Gateway) -> None:
    answer = gateway.ask_once("POST", DECIDE, decide(candidates=6, count=4))
    logged = gateway.log.exposures[-1]
    assert answer.json["decision_id"] == logged.decision_id
    assert answer.json["items"] == logged.candidate_ids[:4]
    assert sorted(logged.candidate_ids) == [f"i{index}" for index in range(6)]
    assert answer.json["propensities"] == logged.propensities
    assert answer.json["arm"] == logged.arm
    assert answer.json["model_version"] == logged.served_version
    assert (logged.kind, logged.policy_id, logged.exploration) == ("decide", "shop-policy", "softmax+epsilon")
    assert (logged.temperature, logged.epsilon) == (1.0, 0.2)
    assert json.loads(logged.context) == {"user_id": "u1", "country": "de"}
    assert [found["item_id"] for found in json.loads(logged.candidates)] == logged.candidate_ids
    # As if each stood at the top.
    assert set(gateway.engines[logged.served_version].positions[-6:]) == {0}
    chances = list_probabilities(log_odds(np.array([logged.scores])), temperature=1.0, epsilon=0.2)
    np.testing.assert_allclose(logged.propensities, chances.chosen[0, :4], rtol=1e-12)
    np.testing.assert_allclose(logged.floors, chances.floors[0, :4], rtol=1e-12)
    odds = np.exp(log_odds(np.array(logged.scores)))
    np.testing.assert_allclose(logged.normalisers, [odds[place:].sum() for place in range(4)], rtol=1e-12)


def test_columns_that_the_model_does_not_read_are_logged_too(gateway: Gateway) -> None:
    context = {"user_id": "u1", "country": "de", "colour": "red"}
    assert gateway.ask_once("POST", DECIDE, decide() | {"context": context}).status == 200
    assert json.loads(gateway.log.exposures[-1].context) == context


def test_inverse_propensities_of_a_gateways_log_sum_to_one(gateway: Gateway) -> None:
    """E[w] = 1 for a policy that shows everything evenly, from what the gateway itself logged."""

    async def ask() -> None:
        for number in range(1500):
            await gateway.ask("POST", DECIDE, decide(f"u{number}", candidates=4, count=1))

    gateway.run(ask)
    weights = np.array([0.25 / found.propensities[0] for found in gateway.log.exposures])
    assert abs(weights.mean() - 1) < 4 * weights.std() / np.sqrt(len(weights))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (decide() | {"candidates": []}, "candidates"),
        (decide() | {"count": 0}, "count"),
        (decide() | {"candidates": [{"item_id": "i1", "price": "dear"}]}, "price"),
        (decide() | {"candidates": [{"price": 1.0}]}, "item_id"),
        (decide() | {"candidates": [{"item_id": "i1", "price": 1.0}] * 2}, "i1"),
        (decide() | {"policy": "mine"}, "policy"),
    ],
)
def test_what_is_wrong_with_a_list_request_is_said(gateway: Gateway, body: dict[str, Any], message: str) -> None:
    answer = gateway.ask_once("POST", DECIDE, body)
    assert answer.status == 400
    assert message in answer.json["error"]
    assert gateway.log.exposures == []


def test_a_model_without_policy_draws_no_lists(gateway: Gateway) -> None:
    gateway.write(split_of(policy=None))
    answer = gateway.ask_once("POST", DECIDE, decide())
    assert answer.status == 404 and "policy" in answer.json["error"]


def test_outcomes_are_recorded_before_they_are_acknowledged(gateway: Gateway) -> None:
    late = outcome(outcome_id="o2", item_id="", time=None)
    del late["time"]
    answer = gateway.ask_once("POST", OUTCOMES, {"outcomes": [outcome(time=NOW - 60), late]})
    assert (answer.status, answer.json) == (200, {"recorded": 2})
    first, second = gateway.log.outcomes
    assert (first.time, first.received) == (int((NOW - 60) * 1e6), int(NOW * 1e6))
    assert (second.item_id, second.time) == ("", int(NOW * 1e6))


def test_outcomes_that_are_not_durable_are_to_be_sent_again(gateway: Gateway) -> None:
    gateway.log.full = True
    answer = gateway.ask_once("POST", OUTCOMES, {"outcomes": [outcome()]})
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "no space left" in answer.json["error"]


@pytest.mark.parametrize("given_time", ["", "yesterday", "nan", "-1", "1e12", "inf"])
def test_a_simulated_clock_needs_its_time(gateway: Gateway, given_time: str) -> None:
    answer = gateway.ask_once("POST", DECIDE, decide(), **{"x-simulated-time": given_time})
    assert answer.status == 400 and "x-simulated-time" in answer.json["error"]


def test_without_the_flag_nobody_sets_the_clock(tmp_path: Any) -> None:
    gateway = Gateway(tmp_path, simulated=False)
    gateway.write(split_of(written=4e9))
    assert gateway.ask_once("POST", DECIDE, decide(), **{"x-simulated-time": "5"}).status == 400
    assert gateway.ask_once("POST", DECIDE, decide()).status == 200


def test_measures_tell_requests_arms_the_log_and_the_split(gateway: Gateway) -> None:
    async def ask() -> str:
        for number in range(8):
            await gateway.ask("POST", PREDICT, {"instances": [row(f"u{number}")]})
        await gateway.ask("POST", DECIDE, b"{")
        return (await gateway.ask("GET", "/metrics")).text

    page = gateway.run(ask)
    assert 'daybreak_requests_total{route="predict",status="200"} 8.0' in page
    assert 'daybreak_requests_total{route="decide",status="400"} 1.0' in page
    assert 'daybreak_request_seconds_count{route="predict"} 8.0' in page
    assert 'daybreak_log_rows_total{state="exposures"} 8.0' in page
    assert 'daybreak_arm_answers_total{arm="control",served="6"}' in page
    assert "daybreak_split_failing 0.0" in page
    assert "daybreak_split_version 1.0" in page


def test_the_rollout_is_told(gateway: Gateway) -> None:
    gateway.ask_once("POST", DECIDE, decide())
    told = gateway.ask_once("GET", "/rollout").json
    assert told["split"]["experiment"]["rollout_id"] == "shop-17"
    assert (told["expired"], told["failure"], told["log"]["exposures"]) == (False, "", 1)
    assert sum(found["count"] for found in told["answers"]) == 1


def test_clients_can_ask_what_there_is(gateway: Gateway) -> None:
    async def ask() -> None:
        versions = (await gateway.ask("GET", "/v1/models/shop")).json["model_version_status"]
        assert {(found["version"], found["state"]) for found in versions} == {("6", "AVAILABLE"), ("7", "AVAILABLE")}
        assert (await gateway.ask("GET", "/v2/models/shop")).json["versions"] == ["6", "7"]
        inputs = (await gateway.ask("GET", "/v2/models/shop/versions/7")).json["inputs"]
        assert "user_id" in {found["name"] for found in inputs}
        assert (await gateway.ask("GET", "/v2/models/shop/ready")).status == 200
        assert (await gateway.ask("GET", "/v1/models/shop/versions/9")).status == 404
        assert (await gateway.ask("GET", "/v1/models/shop/metadata")).json["model_spec"]["version"] == "6"

    gateway.run(ask)


def test_before_there_is_a_document_and_while_it_drains(tmp_path: Any) -> None:
    gateway = Gateway(tmp_path)
    assert gateway.ask_once("GET", "/v2/health/live").status == 200
    assert gateway.ask_once("GET", "/v2/health/ready").status == 503
    gateway.write(split_of())
    assert gateway.ask_once("GET", "/v2/health/ready").status == 200
    gateway.application.frame.drain()
    assert gateway.ask_once("GET", "/v2/health/ready").status == 503
    assert gateway.ask_once("POST", DECIDE, decide()).headers["connection"] == "close"


def test_above_the_limit_in_flight_requests_are_refused_at_once(tmp_path: Any) -> None:
    gateway = Gateway(tmp_path, in_flight=2)
    gateway.write(split_of())

    async def ask() -> list[Any]:
        gateway.watch.lineup.champion.batcher._mean_secs = 1.0  # type: ignore[union-attr]
        gateway.engines["6"].secs = 0.05
        asked = [gateway.ask("POST", "/v1/models/shop/versions/6:predict", {"instances": [row()]}) for _ in range(5)]
        answers = await asyncio.gather(*asked)
        assert (await gateway.ask("GET", "/v2/health/live")).status == 200
        return answers

    answers = gateway.run(ask)
    assert sorted(answer.status for answer in answers) == [200, 200, 429, 429, 429]
    assert {answer.headers.get("retry-after") for answer in answers if answer.status == 429} == {"1"}
    assert gateway.ask_once("POST", DECIDE, decide()).status == 200


def _mutated(body: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Valid JSON with a piece cut out, doubled or replaced."""
    text = json.dumps(body).encode()
    pieces = st.sampled_from([b"", b"{", b"]", b"null", b"-1", b'"', b"\x00", b"1e400", b"[[[", b"\xff", b'"\\ud800"'])
    places = st.integers(0, len(text) - 1)
    return st.builds(
        lambda start, length, piece: text[:start] + piece + text[start + length :],
        places,
        st.integers(0, 12),
        pieces | places.map(lambda start: text[start : start + 9]),
    )


KEYS = [
    "instances",
    "inputs",
    "context",
    "candidates",
    "count",
    "outcomes",
    "user_id",
    "item_id",
    "price",
    "b64",
    "name",
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=12,
)
_V2 = {"inputs": [{"name": "price", "shape": [1, 1], "datatype": "FP32", "data": [1.0]}]}
_BODIES = st.one_of(
    *map(_mutated, ({"instances": [row()]}, decide(), {"outcomes": [outcome()]}, _V2)),
    _JSON.map(lambda found: json.dumps(found).encode()),
    st.binary(max_size=60),
)
_PATHS = st.sampled_from([PREDICT, DECIDE, OUTCOMES, "/v2/models/shop/infer", "/v1/models/shop/versions/7:predict"])
_METHODS = st.sampled_from(["POST"] * 9 + ["GET", "PUT", "DELETE"])
_HEADERS = st.dictionaries(
    st.sampled_from(["x-request-id", "x-simulated-time", "content-type", "content-encoding"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    max_size=2,
)


@pytest.mark.slow
def test_5000_malformed_requests_are_never_the_servers_fault(gateway: Gateway) -> None:
    statuses: set[int] = set()

    async def ask_all() -> None:
        loop = asyncio.get_running_loop()

        @settings(max_examples=5000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(_METHODS, _PATHS, _BODIES, _HEADERS)
        def ask(method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
            asked = gateway.ask(method, path, body, **headers)
            answer = asyncio.run_coroutine_threadsafe(asked, loop).result()
            statuses.add(answer.status)
            assert answer.status in (200, 400, 405), answer.text
            assert "Traceback" not in answer.text and 'File "' not in answer.text

        await asyncio.to_thread(ask)

    gateway.run(ask_all)
    assert {200, 400, 405} <= statuses
    assert gateway.ask_once("POST", DECIDE, decide()).status == 200
    for logged in gateway.log.exposures:
        logged.unit_id.encode(), logged.context.encode(), logged.candidates.encode()
