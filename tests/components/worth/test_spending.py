from __future__ import annotations

from pathlib import Path

import pytest

from components.worth.spending import WATTS_PER_CORE, costs_of_run, energy_kwh, find_makers, node_costs, sum_usd
from pipelines.outcome import Try
from pipelines.settings import Settings
from pipelines.spec import Prices
from tests.components.worth.outcomes import cached, outcome, write

PRICES = Prices(cpu_core_hour_usd=0.04, gb_hour_usd=0.005, gpu_hour_usd=2, gpus=4)
NO_GPU = PRICES.model_copy(update={"gpus": 0})
HOUR_USD = 0.04 + 0.5 * 2 * 0.005
"""Of an outcome as it is by default."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, state=tmp_path)


def test_a_node_costs_cpu_memory_and_its_gpus() -> None:
    costs = {c.node: c for c in node_costs({n: outcome(n) for n in ("train", "evaluate")}, makers={}, prices=PRICES)}
    assert costs["evaluate"].usd == pytest.approx(HOUR_USD)
    assert costs["train"].usd == pytest.approx(HOUR_USD + 0.5 * 4 * 2)
    assert costs["train"].today_usd == costs["train"].usd


def test_every_try_of_a_retried_node_counts_once() -> None:
    failed = Try(seconds=1800, cpu_secs=1800, peak_memory_bytes=2_000_000_000)
    [cost] = node_costs({"train": outcome("train", earlier=(failed,))}, makers={}, prices=NO_GPU)
    assert cost.usd == cost.today_usd == pytest.approx(HOUR_USD + 0.02 + 0.005)


def test_a_cached_node_costs_nothing_today_and_says_what_it_cost(settings: Settings) -> None:
    write(settings, outcome("train", run_id="run-1", uri="/model/7"), outcome("train", run_id="run-0", uri="/model/6"))
    outcomes = write(settings, cached("train", run_id="run-2", uri="/model/7"))
    [cost] = node_costs(outcomes, makers=find_makers(settings, outcomes), prices=NO_GPU)
    assert (cost.cached, cost.today_usd, cost.usd) == (True, 0, pytest.approx(HOUR_USD))


def test_a_run_resumed_after_its_end_costs_what_it_cost_before(settings: Settings) -> None:
    """The second try finds the first in the cache, and its outcome file replaces that of the first."""
    first = outcome("train", uri="/model/7")
    outcomes = write(settings, cached("train", uri="/model/7", earlier=first.tries))
    [cost] = node_costs(outcomes, makers=find_makers(settings, outcomes), prices=NO_GPU)
    assert cost.usd == cost.today_usd == pytest.approx(HOUR_USD)


def test_a_cached_node_of_a_run_that_is_gone_is_not_known(settings: Settings) -> None:
    outcomes = write(settings, cached("train", uri="/model/7"))
    [cost] = node_costs(outcomes, makers=find_makers(settings, outcomes), prices=PRICES)
    assert (cost.known, cost.usd) == (False, 0)


def test_stages_add_up_and_energy_follows_cpu_time() -> None:
    outcomes = {"train": outcome("train"), "evaluate": outcome("evaluate", stage="gates", cpu_secs=7200)}
    costs = node_costs(outcomes, makers={}, prices=Prices(cpu_core_hour_usd=1))
    assert (sum_usd(costs, "training"), sum_usd(costs, "gates"), sum_usd(costs)) == pytest.approx((1, 2, 3))
    assert energy_kwh(costs) == pytest.approx(3 * WATTS_PER_CORE / 1000)


def test_the_power_of_a_core_is_that_of_codecarbon() -> None:
    cpu = pytest.importorskip("codecarbon.core.cpu")
    assert cpu.DEFAULT_POWER_PER_CORE == WATTS_PER_CORE


def test_a_node_does_not_count_its_own_earlier_end(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    write(settings, outcome("train"), outcome("worth", stage="gates"))
    for name, value in {"PIPELINE": "toy", "RUN_ID": "run-1", "NODE": "worth"}.items():
        monkeypatch.setenv(f"DAYBREAK_{name}", value)
    assert [cost.node for cost in costs_of_run(settings, PRICES)] == ["train"]
