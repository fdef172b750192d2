"""Summaries as tables of Markdown, between two marks of a page.

text = render_tables(summaries)
replace_tables(page, text)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.rollout.simulation.rules import RULES
from components.rollout.simulation.scenarios import SCENARIOS, Summary, Table
from pipelines.errors import ResourceError

BEGIN, END = "<!-- simulation: begin -->", "<!-- simulation: end -->"
_TITLES: dict[Table, str] = {
    "characteristics": "Operating characteristics",
    "robustness": "Other users, other questions",
    "faults": "Injected faults, a candidate as good as the champion, 280k users in each arm",
}


def render_tables(summaries: Sequence[Summary]) -> str:
    parts = [f"{summaries[0].rollouts:,} rollouts in each row; simulated users."]
    for table, title in _TITLES.items():
        names = {scenario.name for scenario in SCENARIOS if scenario.table == table}
        rows = [summary for summary in summaries if summary.scenario in names and summary.rule == "daybreak"]
        parts += [f"### {title}", _outcomes(rows)] if rows else []
    parts += ["### Three rules, the same rollouts", _rules(summaries)]
    return "\n\n".join(parts)


def replace_tables(page: Path, text: str) -> None:
    """Raises `ResourceError` when the page lacks the marks."""
    whole = page.read_text(encoding="utf-8")
    if BEGIN not in whole or END not in whole:
        raise ResourceError(f"{page} must hold the lines {BEGIN} and {END}", fix="restore them where the tables belong")
    before, rest = whole.split(BEGIN, 1)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}", encoding="utf-8")


def _outcomes(rows: Sequence[Summary]) -> str:
    head = "| | promoted | rolled back | held | inconclusive | looks | users in the treatment |\n" + "| --- " * 7 + "|"
    lines = [
        f"| {row.scenario} | {row.promoted:.2%} | {row.rolled_back:.2%} | {row.held:.2%} | {row.inconclusive:.2%} "
        f"| {row.looks:.1f} | {row.users:,.0f} |"
        for row in rows
    ]
    return "\n".join([head, *lines])


def _rules(summaries: Sequence[Summary]) -> str:
    rules = list(RULES)
    compared = {row.scenario for row in summaries if row.rule == rules[-1]}
    head = "| | " + " | ".join(f"{rule}: promoted | loss" for rule in rules) + " |\n" + "| --- " * (2 * len(rules) + 1)
    lines = []
    for name in dict.fromkeys(row.scenario for row in summaries if row.scenario in compared):
        cells = [row for rule in rules for row in summaries if row.scenario == name and row.rule == rule]
        lines.append(f"| {name} | " + " | ".join(f"{row.promoted:.2%} | {row.loss:.3%}" for row in cells) + " |")
    return "\n".join([head + "|", *lines])
