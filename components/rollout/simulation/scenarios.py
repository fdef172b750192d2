"""What is simulated: populations, true effects, faults, and the terms of the rollout.

for scenario in SCENARIOS:
    summary = run_scenario(scenario, rule="daybreak", rollouts=2000)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from components.rollout.simulation.populations import Population
from components.rollout.simulation.rules import RULES
from components.rollout.simulation.traffic import Faults, Traffic
from pipelines.spec import Frozen
from pipelines.spec.rollout import Rollout as Terms

MARGIN = 0.02
TERMS = Terms(unit="user_id")
"""The defaults of a spec: 5, 20 and 50 %, cubic spending, four looks, alpha 5 %, 130k users in each arm."""
SUPERIORITY = TERMS.model_copy(update={"kind": "experiment", "challenger": "other"})
LARGE = TERMS.model_copy(update={"users_per_arm": 280_000})
CLICKS = Population(name="clicks")
UNEVEN = Population(name="uneven", day_effect=0.15, front_loaded=True)
REVENUE = Population(name="revenue", revenue=True)
Table = Literal["characteristics", "robustness", "faults"]


@dataclass(frozen=True)
class Scenario:
    name: str
    effect: float
    table: Table = "characteristics"
    population: Population = CLICKS
    terms: Terms = TERMS
    margin: float = MARGIN
    new_users_per_day: float = 60_000
    faults: Faults = field(default_factory=Faults)


class Summary(Frozen):
    """Shares of the rollouts."""

    scenario: str
    rule: str
    rollouts: int
    effect: float
    promoted: float
    rolled_back: float
    held: float
    inconclusive: float
    loss: float
    """Mean, of the KPI of all users over 14 days."""
    looks: float
    users: float
    """Mature ones of the treatment at the end, mean."""


EFFECTS = (-0.10, -0.05, -0.02, -0.01, 0.0, 0.02, 0.05)
SCENARIOS = (
    *(Scenario(f"true effect {effect:+.0%}", effect) for effect in EFFECTS),
    Scenario("uneven days and early enthusiasts, true -2%", -0.02, "robustness", UNEVEN),
    Scenario("uneven days and early enthusiasts, true 0", 0.0, "robustness", UNEVEN),
    Scenario("heavy-tailed revenue, margin 10%, true -10%", -0.10, "robustness", REVENUE, margin=0.10),
    Scenario("heavy-tailed revenue, margin 10%, true 0", 0.0, "robustness", REVENUE, margin=0.10),
    Scenario("experiment (superiority), true 0", 0.0, "robustness", terms=SUPERIORITY),
    Scenario("experiment (superiority), true +2%", 0.02, "robustness", terms=SUPERIORITY),
    *(
        Scenario(name, 0.0, "faults", terms=LARGE, new_users_per_day=120_000, faults=faults)
        for name, faults in (
            ("none", Faults()),
            ("1% of the treatment's exposures lost", Faults(lost_exposures=0.01)),
            ("1% of the treatment's users lost from the log", Faults(lost_units=0.01)),
            ("1% of the treatment's users absent altogether", Faults(absent_units=0.01)),
            ("2% of the treatment's users absent altogether", Faults(absent_units=0.02)),
            ("3% of the treatment's users absent altogether", Faults(absent_units=0.03)),
            ("the control is everybody else", Faults(control_is_rest=True)),
        )
    ),
)


def run_scenario(scenario: Scenario, *, rule: str, rollouts: int, seed: int = 1) -> Summary:
    """Every rule meets the same users, as far as their shares agree."""
    follow = RULES[rule]
    results = [
        follow(
            Traffic(
                scenario.population,
                effect=scenario.effect,
                random=np.random.default_rng([seed, number]),
                new_users_per_day=scenario.new_users_per_day,
                faults=scenario.faults,
            ),
            scenario.terms,
            scenario.margin,
        )
        for number in range(rollouts)
    ]
    counts = Counter(result.outcome for result in results)
    return Summary(
        scenario=scenario.name,
        rule=rule,
        rollouts=rollouts,
        effect=scenario.effect,
        promoted=counts["promoted"] / rollouts,
        rolled_back=counts["rolled_back"] / rollouts,
        held=counts["held"] / rollouts,
        inconclusive=counts["inconclusive"] / rollouts,
        loss=float(np.mean([result.loss for result in results])),
        looks=float(np.mean([result.looks for result in results])),
        users=float(np.mean([result.users for result in results])),
    )
