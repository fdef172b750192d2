"""The challenger on another server: whatever that does, everybody is answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.assignment.split import Model
from tests.components.gateway.conftest import PREDICT, Gateway, row, split_of
from tests.components.serving.engines.scripted import Scripted, running


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with running() as server:
        yield server


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("slow", "deadline"),
        ("dies", "Remote"),
        (500, "status 500"),
        ("refuses", "no such brand"),
        (b"x", "no predictions"),
    ],
)
def test_a_remote_challenger_that_fails_is_replaced_by_the_champion(
    gateway: Gateway, scripted: Scripted, arms: dict[str, list[str]], mode: str | int | bytes, why: str
) -> None:
    gateway.write(split_of(models=(Model("6", "/models/6"), Model("7", scripted.uri()))))
    body = {"instances": [row(arms["treatment"][0], 1.0)]}

    async def work() -> None:
        found = await gateway.ask("POST", PREDICT, body)
        assert found.json["predictions"][0] == pytest.approx([0.18])
        served = gateway.log.exposures[-1]
        assert (served.served_version, served.fallback) == ("7", "")
        scripted.mode = mode
        found = await gateway.ask("POST", PREDICT, body)
        assert found.json["predictions"][0] == pytest.approx([0.17]), "6 says 0.1 + price / 100 + 0.06"
        replaced = gateway.log.exposures[-1]
        assert (replaced.assigned_version, replaced.served_version) == ("7", "6")
        assert why in replaced.fallback
        scripted.mode = "well"

    gateway.run(work)


def test_both_arms_may_be_remote(gateway: Gateway, scripted: Scripted, arms: dict[str, list[str]]) -> None:
    gateway.write(split_of(models=(Model("6", scripted.uri("6")), Model("7", scripted.uri("7")))))

    async def work() -> None:
        for arm in ("control", "treatment"):
            found = await gateway.ask("POST", PREDICT, {"instances": [row(arms[arm][0], 2.0)]})
            assert found.json["predictions"][0] == pytest.approx([0.19])
        scripted.mode = 500
        found = await gateway.ask("POST", PREDICT, {"instances": [row(arms["control"][0])]})
        assert found.status == 503
        assert found.headers["retry-after"] == "1"

    gateway.run(work)
    assert [exposure.served_version for exposure in gateway.log.exposures] == ["6", "7"]
