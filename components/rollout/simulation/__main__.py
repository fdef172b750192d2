"""python -m components.rollout.simulation [--rollouts 2000]: simulate, then write the tables of the docs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from components.rollout.simulation.rules import RULES
from components.rollout.simulation.scenarios import SCENARIOS, Summary, run_scenario
from components.rollout.simulation.tables import render_tables, replace_tables

_DOCS = Path(__file__).parents[3] / "docs"
PAGE = _DOCS / "rollout_statistics.md"
RECORD = _DOCS / "benchmarks" / "rollout.json"


def main() -> None:
    parser = argparse.ArgumentParser(description="Whole rollouts on simulated users, through the real engine.")
    parser.add_argument("--rollouts", type=int, default=2000, help="of each scenario and rule")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    summaries = simulate(chosen.rollouts, chosen.seed)
    rows = [summary.model_dump() for summary in summaries]
    RECORD.write_text(json.dumps({"seed": chosen.seed, "summaries": rows}, indent=1) + "\n", encoding="utf-8")
    replace_tables(PAGE, render_tables(summaries))


def simulate(rollouts: int, seed: int) -> list[Summary]:
    """The other rules are compared where nothing is broken."""
    found = []
    for scenario in SCENARIOS:
        for rule in RULES if scenario.table == "characteristics" else ["daybreak"]:
            summary = run_scenario(scenario, rule=rule, rollouts=rollouts, seed=seed)
            print(summary.model_dump_json(), flush=True)
            found.append(summary)
    return found


if __name__ == "__main__":
    main()
