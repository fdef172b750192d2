"""Versions that other servers hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.ledger.ledger import Ledger
from components.rollout.deployment import Deployment
from components.rollout.endpoints import Endpoints, deployment_of
from components.rollout.standing import State
from pipelines.settings import Settings
from pipelines.spec import Rollout
from tests.components.rollout.ticks import champion_and_candidates, make_ticker, split_of
from tests.components.rollout.writing import NOON, after, begin
from tests.components.serving.engines.scripted import Scripted, running


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with running() as server:
        yield server


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_a_version_that_is_not_ready_meets_nobody(
    settings: Settings, ledger: Ledger, scripted: Scripted, protocol: str
) -> None:
    champion_and_candidates(ledger, "2")
    ticker, registry = make_ticker(settings, ledger, endpoint=scripted.uri("{version}", protocol=protocol))
    registry.down = True
    begin(ticker.store, ledger.model)
    scripted.ready = {"2": False}
    report = ticker.tick(now=NOON)
    assert any("waits for its model" in problem for problem in report.problems)
    found = ticker.store.queued(ledger.model)
    assert found is not None and found.state is State.GATED

    scripted.ready = {}
    ticker.tick(now=after(1))
    split = split_of(ticker)
    assert split.experiment is not None and split.experiment.challenger == "2"
    assert {model.version: model.uri for model in split.models} == {
        version: scripted.uri(version, protocol=protocol) for version in ("1", "2")
    }
    assert not Deployment(settings, ledger.model).folder.exists(), "nothing is laid out"

    scripted.ready = {"2": False}
    report = ticker.reconcile(now=after(2))
    assert split_of(ticker).experiment is None
    assert [model.version for model in split_of(ticker).models] == ["1"]
    assert any("failed" in problem and "/versions/2" in problem for problem in report.problems)

    scripted.ready = {"1": False}
    report = ticker.reconcile(now=after(3))
    assert split_of(ticker).written == after(2).timestamp(), "without a champion the last document stays"
    assert any("its champion is not there" in problem for problem in report.problems)


def test_versions_of_another_recipe_have_an_address_of_their_own(settings: Settings) -> None:
    endpoints = Endpoints("http://{model}-{version}.internal/v1/models/shop", "shop")
    assert endpoints.uri("3") == "http://shop-3.internal/v1/models/shop"
    assert endpoints.uri("shop_wide@7") == "http://shop_wide-7.internal/v1/models/shop"
    assert isinstance(deployment_of(settings, "shop", Rollout(unit="user_id")), Deployment)


def test_litert_is_for_versions_that_have_its_file(settings: Settings) -> None:
    chosen = deployment_of(settings, "shop", Rollout(unit="user_id", engine="litert"))
    assert isinstance(chosen, Deployment)
    file = Path(chosen.path("4")) / "assets.extra" / "litert" / "model.tflite"
    file.parent.mkdir(parents=True)
    file.touch()
    assert chosen.uri("3") == str(chosen.path("3"))
    assert chosen.uri("4") == str(file.parent)
    assert Deployment(settings, "shop").uri("4") == str(chosen.path("4"))


@pytest.mark.parametrize(
    "terms",
    [
        {"endpoint": "http://shop.internal/v2/models/shop"},
        {"endpoint": "ftp://shop-{version}/v2/models/shop"},
        {"endpoint": "http://shop-{version}/shop"},
        {"endpoint": "http://shop-{version/v2/models/shop"},
        {"endpoint": "http://shop-{version}-{day}/v2/models/shop"},
        {"endpoint": "http://shop-{version}/v2/models/shop", "engine": "litert"},
        {"endpoint": "http://shop-{version}/v2/models/shop", "kind": "experiment", "challenger": "shop_wide"},
    ],
)
def test_an_endpoint_that_names_no_version_is_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`endpoint`"):
        Rollout(unit="user_id", **terms)
