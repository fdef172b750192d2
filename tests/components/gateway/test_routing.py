"""Arms, fallbacks and what the log says of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from components.assignment.split import Experiment, Holdback, Model
from components.gateway.lineup import Lineup
from tests.components.gateway.conftest import DECIDE, NOW, PREDICT, Gateway, decide, row, split_of

Arms = dict[str, list[str]]


def predicted(price: float, version: int) -> float:
    return pytest.approx(0.1 + price / 100 + version / 100, abs=1e-6)  # type: ignore[return-value]


def test_each_unit_meets_the_model_of_its_arm_and_both_arms_are_logged(gateway: Gateway, arms: Arms) -> None:
    async def ask() -> None:
        for arm, version in (("control", 6), ("treatment", 7)):
            answer = await gateway.ask("POST", PREDICT, {"instances": [row(arms[arm][0], 3.0)]})
            assert answer.json["predictions"] == [[predicted(3.0, version)]]
            logged = gateway.log.exposures[-1]
            assert (logged.arm, logged.assigned_version, logged.served_version) == (arm, str(version), str(version))
            assert (logged.rollout_id, logged.kind, logged.fallback) == ("shop-17", "predict", "")
            assert (logged.unit_id, logged.time, logged.split_version) == (arms[arm][0], int(NOW * 1e6), 1)
            assert logged.decision_id == answer.headers["x-decision-id"]
            assert json.loads(logged.context)["instances"][0]["price"] == 3.0

    gateway.run(ask)


def test_rows_of_several_units_each_meet_their_own_arm(gateway: Gateway, arms: Arms) -> None:
    rows = [row(arms[arm][0], float(index)) for index, arm in enumerate(["treatment", "control", "treatment"])]
    answer = gateway.ask_once("POST", PREDICT, {"instances": rows})
    assert answer.json["predictions"] == [[predicted(0, 7)], [predicted(1, 6)], [predicted(2, 7)]]
    assert [(found.arm, len(found.scores)) for found in gateway.log.exposures] == [("treatment", 2), ("control", 1)]
    assert len({found.decision_id for found in gateway.log.exposures}) == 2


def test_the_open_inference_protocol_is_routed_too(gateway: Gateway, arms: Arms) -> None:
    columns = {"user_id": "BYTES", "item_id": "BYTES", "position": "INT64", "price": "FP32"}
    found = row(arms["treatment"][0])
    inputs = [
        {"name": name, "shape": [1, 1], "datatype": kind, "data": [found[name]]} for name, kind in columns.items()
    ]
    answer = gateway.ask_once("POST", "/v2/models/shop/infer", {"inputs": inputs})
    assert answer.json["model_version"] == "7"
    assert answer.json["outputs"][0]["data"] == [predicted(1.0, 7)]
    assert gateway.log.exposures[-1].arm == "treatment"


def test_nobody_and_serialized_examples_meet_the_champion(gateway: Gateway) -> None:
    without = {name: value for name, value in row().items() if name != "user_id"}
    assert gateway.ask_once("POST", PREDICT, {"instances": [without]}).json["predictions"] == [[predicted(1, 6)]]
    assert (gateway.log.exposures[-1].arm, gateway.log.exposures[-1].unit_id) == ("champion", "")
    body = {"signature_name": "serving_default", "instances": [{"b64": "AAAA"}]}
    assert gateway.ask_once("POST", PREDICT, body).json["predictions"] == [[0.5]]


def test_a_path_with_a_version_is_outside_of_the_experiment(gateway: Gateway, arms: Arms) -> None:
    path = "/v1/models/shop/versions/7:predict"
    answer = gateway.ask_once("POST", path, {"instances": [row(arms["control"][0])]})
    assert answer.json["predictions"] == [[predicted(1, 7)]]
    assert gateway.log.exposures == []


@pytest.mark.parametrize("path", [PREDICT, DECIDE])
def test_a_challenger_that_fails_is_replaced_on_record(gateway: Gateway, arms: Arms, path: str) -> None:
    async def ask() -> Any:
        gateway.engines["7"].failure = KeyError("weights")
        unit = arms["treatment"][0]
        return await gateway.ask("POST", path, decide(unit) if path == DECIDE else {"instances": [row(unit)]})

    answer = gateway.run(ask)
    assert answer.status == 200
    logged = gateway.log.exposures[-1]
    assert (logged.arm, logged.assigned_version, logged.served_version) == ("treatment", "7", "6")
    assert logged.fallback.startswith("KeyError")
    assert gateway.router.fallbacks == {("7", "error"): 1}


def test_a_challenger_without_a_finite_prediction_is_replaced_too(gateway: Gateway, arms: Arms) -> None:
    async def ask() -> Any:
        gateway.engines["7"].predict = lambda rows: np.full((len(rows), 1), np.nan, np.float32)  # type: ignore[method-assign]
        return await gateway.ask("POST", PREDICT, {"instances": [row(arms["treatment"][0])]})

    assert gateway.run(ask).status == 200
    assert "finite" in gateway.log.exposures[-1].fallback


def test_rows_that_both_models_refuse_are_the_clients_fault(gateway: Gateway, arms: Arms) -> None:
    from components.serving.engine import InputError

    async def ask() -> Any:
        for engine in gateway.engines.values():
            engine.failure = InputError("the price must be positive")
        return await gateway.ask("POST", PREDICT, {"instances": [row(arms["treatment"][0])]})

    answer = gateway.run(ask)
    assert (answer.status, answer.json) == (400, {"error": "the price must be positive"})
    assert gateway.log.exposures == []


def test_a_late_challenger_is_replaced_and_then_not_waited_for(gateway: Gateway, arms: Arms) -> None:
    async def ask() -> list[float]:
        loop, body = asyncio.get_running_loop(), {"instances": [row(arms["treatment"][0])]}
        gateway.watch.lineup.served["7"].batcher._mean_secs = 1.0  # type: ignore[union-attr]
        gateway.engines["7"].secs = 0.6
        times = []
        for _ in range(2):
            began = loop.time()
            assert (await gateway.ask("POST", PREDICT, body)).status == 200
            times.append(loop.time() - began)
        return times

    first, second = gateway.run(ask)
    assert 0.1 <= first < 0.6
    assert second < 0.1
    assert [found.fallback for found in gateway.log.exposures] == ["deadline", "deadline"]
    assert {found.served_version for found in gateway.log.exposures} == {"6"}


def test_after_its_ttl_everybody_meets_the_champion(gateway: Gateway, arms: Arms) -> None:
    body = {"instances": [row(arms["treatment"][0])]}
    answer = gateway.ask_once("POST", PREDICT, body, at=NOW + 3601)
    assert answer.json["predictions"] == [[predicted(1, 6)]]
    logged = gateway.log.exposures[-1]
    assert (logged.arm, logged.assigned_version, logged.rollout_id) == ("champion", "6", "")
    assert logged.fallback == "expired"
    assert gateway.ask_once("GET", "/rollout").json["expired"] is True


def test_the_holdback_meets_its_own_model(gateway: Gateway) -> None:
    models = tuple(Model(version, f"/models/{version}") for version in ("3", "6", "7"))
    gateway.write(split_of(models=models, holdback=Holdback("q1", 0.5, "3")))

    async def ask() -> set[tuple[str, str]]:
        for number in range(30):
            await gateway.ask("POST", PREDICT, {"instances": [row(f"u{number}")]})
        return {(found.arm, found.served_version) for found in gateway.log.exposures}

    assert gateway.run(ask) == {("holdback", "3"), ("control", "6"), ("treatment", "7")}


def test_in_shadow_the_challenger_answers_nobody_and_is_logged(gateway: Gateway) -> None:
    gateway.write(split_of(experiment=Experiment("shop-17", "7", 0.5, shadow=True)))

    async def ask() -> None:
        for _ in range(3):
            answer = await gateway.ask("POST", DECIDE, decide())
            assert (answer.json["arm"], answer.json["model_version"]) == ("champion", "6")
        while gateway.shadow.answered < 3:
            await asyncio.sleep(0.005)
        gateway.engines["7"].failure = RuntimeError("broken")
        assert (await gateway.ask("POST", PREDICT, {"instances": [row()]})).status == 200
        while not gateway.shadow.failed:
            await asyncio.sleep(0.005)

    gateway.run(ask)
    shown = [found for found in gateway.log.exposures if found.arm == "champion"]
    mirrored = [found for found in gateway.log.exposures if found.arm == "shadow"]
    assert [found.fallback[:12] for found in mirrored] == ["", "", "", "RuntimeError"]
    assert {found.served_version for found in shown} == {"6"}
    assert {(found.assigned_version, found.served_version) for found in mirrored} == {("7", "7")}
    assert [f"{found.decision_id}.shadow" for found in shown] == [found.decision_id for found in mirrored]
    assert len(mirrored[0].scores) == 5 and not mirrored[0].propensities


def test_what_is_too_much_for_the_shadow_is_left_out_and_delays_nobody(gateway: Gateway) -> None:
    gateway.write(split_of(experiment=Experiment("shop-17", "7", 0.5, shadow=True)))

    async def ask() -> float:
        loop = asyncio.get_running_loop()
        gateway.engines["7"].secs = 0.3
        began = loop.time()
        for _ in range(250):
            assert (await gateway.ask("POST", PREDICT, {"instances": [row()]})).status == 200
        return loop.time() - began

    gateway.run(ask)
    assert gateway.shadow.left_out >= 40
    assert len(gateway.log.exposures) >= 250


def test_a_model_is_closed_when_the_last_request_that_holds_it_is_gone(gateway: Gateway, arms: Arms) -> None:
    async def ask() -> tuple[bool, bool, str]:
        old = gateway.engines["7"]
        held: Lineup | None = gateway.watch.lineup
        models = (Model("6", "/models/6"), Model("8", "/models/8"))
        gateway.write(split_of(version=2, models=models, experiment=Experiment("shop-18", "8", 0.5)))
        while gateway.watch.swaps < 2:
            await asyncio.sleep(0.005)
        before = old.closed
        del held
        answers = [await gateway.ask("POST", PREDICT, {"instances": [row(f"u{n}")]}) for n in range(10)]
        assert {answer.status for answer in answers} == {200}
        return before, old.closed, gateway.log.exposures[-1].rollout_id

    assert gateway.run(ask) == (False, True, "shop-18")
    assert not gateway.engines["6"].closed
