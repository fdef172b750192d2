"""The page of a DAG in Airflow's interface, in Markdown.

Airflow 3.3 renders GitHub-flavoured Markdown without HTML and without `data:` images, so that the picture of the
stages is drawn with characters.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.manifest import Manifest, Node


def dag_page(manifest: Manifest) -> str:
    budget, schedule = manifest.budget, manifest.schedule
    facts = [
        ("Owner", manifest.owner),
        ("Data", "**simulated**" if manifest.simulated else "real"),
        (
            "Runs",
            f"`{schedule.cron}` {schedule.timezone}, on the day before"
            if schedule and schedule.enabled
            else "on request",
        ),
        ("Budget", f"{budget.hours:g} h, first alert after {budget.warn_after_hours:g} h, then the run is stopped"),
        ("Retries", f"{budget.retries} of a node whose exit code says that a retry can help"),
    ]
    return "\n".join(
        [
            f"# {manifest.pipeline}",
            *(["> All data and traffic of this pipeline are **simulated**.", ""] if manifest.simulated else []),
            manifest.description,
            "",
            "```text",
            picture(manifest.nodes),
            "```",
            "",
            *_table(("this pipeline", ""), facts),
            "",
            *_table(("stage", "node", "what it does"), [(n.stage, f"`{n.id}`", n.description) for n in manifest.nodes]),
            "",
            "**Run a day again**: trigger with `day`; unchanged nodes come from the cache.",
            "",
            "**Backfill**: its dates are data days. Keep *Max Active Runs* at 1, because a day is compared with the "
            + "champion that the day before left.",
        ]
    )


def picture(nodes: Iterable[Node]) -> str:
    """The stages from top to bottom in the order in which they end, each with its nodes; Airflow's dialog is narrow.

    >>> print(picture([Node(id="a", stage="data"), Node(id="b", stage="data"), Node(id="c", stage="train")]))
    ┌───────┬──────┐
    │ data  │ a  b │
    ├───▼───┼──────┤
    │ train │ c    │
    └───────┴──────┘
    """
    stages: dict[str, list[str]] = {}
    for node in nodes:
        stage = node.stage or node.id
        stages[stage] = [*stages.pop(stage, []), node.id]
    rows = [(stage, "  ".join(ids)) for stage, ids in stages.items()]
    left, right = (max(map(len, column)) + 2 for column in zip(*rows, strict=True))
    lines = [f"│{f' {stage}':{left}}│{f' {ids}':{right}}│" for stage, ids in rows]
    between = f"\n├{'▼':─^{left}}┼{'─' * right}┤\n"
    return f"┌{'─' * left}┬{'─' * right}┐\n{between.join(lines)}\n└{'─' * left}┴{'─' * right}┘"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    cells = [head, ("---",) * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
