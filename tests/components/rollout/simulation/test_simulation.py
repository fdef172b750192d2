"""Operating characteristics of the whole engine: short runs here, the full ones with `python -m components.rollout.simulation`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.inference.ratios import compare
from components.rollout.simulation.__main__ import PAGE, RECORD
from components.rollout.simulation.populations import Population, draw_sums, draw_users, pool_of
from components.rollout.simulation.scenarios import CLICKS, LARGE, SCENARIOS, Scenario, Summary, run_scenario
from components.rollout.simulation.tables import render_tables, replace_tables
from components.rollout.simulation.traffic import Faults, Traffic
from pipelines.errors import ResourceError

ROLLOUTS = 2000
QUICK = 300


def characteristics(effect: float, rollouts: int = QUICK) -> Summary:
    return run_scenario(Scenario("test", effect), rule="daybreak", rollouts=rollouts, seed=7)


@pytest.mark.slow
def test_a_candidate_that_is_worse_by_the_margin_is_promoted_as_often_as_declared() -> None:
    """4.95 % beforehand; the lower limit catches an engine that never promotes."""
    assert 0.0345 <= characteristics(-0.02, ROLLOUTS).promoted <= 0.0665


def test_a_candidate_that_is_as_good_is_promoted_and_next_to_never_rolled_back() -> None:
    """80.2 % and 0.1 % beforehand."""
    found = characteristics(0.0)
    assert 0.73 <= found.promoted <= 0.88
    assert found.rolled_back <= 0.01
    assert found.held <= 0.01


def test_a_harmful_candidate_is_rolled_back() -> None:
    """99.8 % and 100 % beforehand."""
    assert characteristics(-0.05).rolled_back >= 0.985
    assert characteristics(-0.10, 100).rolled_back == 1


@pytest.mark.slow
def test_without_an_effect_rollbacks_stay_below_what_guardrails_may_spend() -> None:
    assert characteristics(0.0, ROLLOUTS).rolled_back <= 0.01


@pytest.mark.parametrize("faults", [Faults(lost_exposures=0.01), Faults(lost_units=0.01)])
def test_a_log_that_loses_one_exposure_in_a_hundred_is_held_before_a_promotion(faults: Faults) -> None:
    scenario = Scenario("test", 0.0, terms=LARGE, new_users_per_day=120_000, faults=faults)
    found = run_scenario(scenario, rule="daybreak", rollouts=QUICK)
    assert found.held >= 0.95
    assert found.promoted == 0


def test_users_that_are_absent_from_one_arm_are_held() -> None:
    scenario = Scenario("test", 0.0, terms=LARGE, new_users_per_day=120_000, faults=Faults(absent_units=0.03))
    assert run_scenario(scenario, rule="daybreak", rollouts=100).held >= 0.95


def test_a_control_of_everybody_else_is_held_at_once() -> None:
    found = run_scenario(Scenario("test", 0.0, faults=Faults(control_is_rest=True)), rule="daybreak", rollouts=50)
    assert (found.held, found.users) == (1, 0)


def differing(faults: Faults) -> float:
    """Share of ramps without an effect that a plain test calls different, when days differ."""
    population, count = replace(CLICKS, name="days", day_effect=0.15), 2000
    found = 0
    for number in range(count):
        traffic = Traffic(population, effect=0.0, random=np.random.default_rng([11, number]), faults=faults)
        for share in (0.01, 0.01, 0.05, 0.05, 0.2, 0.2, 0.5, 0.5, 0.5, 0.5):
            traffic.serve(share)
        found += abs(compare(*traffic.day(10)).z) > 1.96
    return found / count


@pytest.mark.slow
def test_a_matched_control_does_not_see_that_days_differ() -> None:
    """Everybody else as the control meets other days than the treatment."""
    assert 0.0345 <= differing(Faults()) <= 0.0665
    assert differing(Faults(control_is_rest=True)) > 0.2


def test_the_pool_is_what_the_population_says() -> None:
    x, y = draw_users(CLICKS, 300_000, np.random.default_rng(1))
    ratio = y.sum() / x.sum()
    influence = (y - ratio * x) / x.mean()
    assert ratio == pytest.approx(0.04, rel=0.01)
    assert x.mean() == pytest.approx(10, rel=0.01)
    assert influence.var() == pytest.approx(1.65 * 0.04 * 0.96 / 10, rel=0.02)
    assert pool_of(CLICKS).mean[:2] == pytest.approx([10, 0.4], rel=0.01)


def test_many_users_are_drawn_like_few() -> None:
    """Sums of 6,001 users (normal) against those of 6,000 (one by one); squares of heavy tails differ by chance."""
    population = Population(name="revenue", revenue=True)
    random = np.random.default_rng(2)
    few, many = (np.array([draw_sums(population, n, random) for _ in range(1500)]) for n in (6000, 6001))
    assert many.mean(axis=0) == pytest.approx(few.mean(axis=0), rel=0.05)
    assert many.std(axis=0) == pytest.approx(few.std(axis=0), rel=0.15)


@pytest.mark.parametrize("rule", ["threshold", "always_valid"])
def test_the_other_rules_promote_what_harms(rule: str) -> None:
    found = run_scenario(Scenario("test", -0.02), rule=rule, rollouts=200)
    assert found.promoted > 0.5
    assert found.loss > 2 * run_scenario(Scenario("test", -0.02), rule="daybreak", rollouts=100).loss


def test_tables_replace_what_stands_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- simulation: begin -->\nold\n<!-- simulation: end -->\nafter\n")
    replace_tables(page, "new")
    assert page.read_text() == "before\n<!-- simulation: begin -->\nnew\n<!-- simulation: end -->\nafter\n"
    page.write_text("before\n")
    with pytest.raises(ResourceError, match="must hold the lines"):
        replace_tables(page, "new")


def test_the_page_shows_the_record() -> None:
    record = json.loads(RECORD.read_text())
    summaries = [Summary.model_validate(row) for row in record["summaries"]]
    assert {summary.scenario for summary in summaries} == {scenario.name for scenario in SCENARIOS}
    assert all(summary.rollouts >= 2000 for summary in summaries)
    assert render_tables(summaries) in PAGE.read_text(encoding="utf-8")
    boundary = next(row for row in summaries if row.rule == "daybreak" and row.scenario == "true effect -2%")
    assert 0.0345 <= boundary.promoted <= 0.0665
