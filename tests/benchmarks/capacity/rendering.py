"""`docs/capacity.md` from the fitted lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.capacity.fitting import Slopes
from tests.benchmarks.capacity.planning import Assumptions, Limit, Plan

DAYS = (10_000_000, 1_000_000_000, 100_000_000_000)
WORKERS = (1, 4, 16, 64, 256)
HOURS = (1, 4, 12)


def render(report: Mapping[str, Any], slopes: Mapping[str, Slopes], assumptions: Assumptions) -> str:
    plan = Plan(slopes, assumptions)
    lines = [
        "# Capacity",
        "",
        "Written by `python -m tests.benchmarks.capacity` from the measurements of",
        "[the benchmark of the data stages](benchmarks/README.md); nothing here was run at these sizes. Rows are those of its",
        "generated log: 13 numbers, 26 categories, a label, a user and a time.",
        *_section("What was measured", _measured(report, slopes, plan)),
        *_section("What is assumed", _assumed(assumptions, plan)),
        *_section("Hours of one day's data stages", _hours(plan)),
        *_section("Workers for a given time, and what the day costs", _workers(plan)),
        *_section("What gives way first", _limits(plan.limits())),
    ]
    return "\n".join(lines) + "\n"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"## {title}", "", *lines]


def _measured(report: Mapping[str, Any], slopes: Mapping[str, Slopes], plan: Plan) -> list[str]:
    machine, sizes = report["machine"], sorted({found["rows"] for found in report["data"] if found["side"] == "ours"})
    lines = [
        f"{report['date']}, {machine['cores']} cores, {machine['memory_gib']} GiB; {', '.join(map(rows_text, sizes))} rows.",
        "A line through the medians: fixed cost, and slope per row. Memory is beyond what imports take.",
        "",
        "| stage | fixed CPU s | rows/s per core | bytes of memory per row | bytes written per row | off the line by at most |",
        "|---|---|---|---|---|---|",
    ]
    for stage, found in slopes.items():
        rate = f"{1 / found.cpu_secs.per_row:,.0f}" if found.cpu_secs.per_row else "not limited"
        lines.append(
            f"| {stage} | {found.cpu_secs.fixed:.1f} | {rate} | {found.memory_bytes.per_row:,.0f} | "
            f"{found.output_bytes.per_row:,.0f} | {found.cpu_secs.error:.0%} |"
        )
    return [
        *lines,
        "",
        f"Each of two cores does {plan.efficiency:.0%} of the work of one alone, in threads of one process.",
    ]


def _assumed(assumptions: Assumptions, plan: Plan) -> list[str]:
    return [
        f"- A worker has {assumptions.cores_per_worker} cores as fast as the measured ones, {assumptions.memory_per_worker_gib:g} GiB, and "
        f"{assumptions.worker_start_secs:g} s before its first row.",
        f"- Any number of cores is as efficient as two ({plan.efficiency:.0%}); shuffles, stragglers, lost workers and a slow "
        "network are not in it. A stage is as fast as its CPU, so storage must keep up.",
        "- The contract is one process; the other stages share their row groups among all workers.",
        f"- A core costs {assumptions.usd_per_core_hour:g} USD an hour and a GiB kept {assumptions.usd_per_gib_month:g} USD a month: round figures of the order "
        f"of on-demand list prices, not a quotation (`--usd-per-core-hour`, `--usd-per-gib-month`). {assumptions.kept_days} days are kept.",
        f"- One process may hold {assumptions.driver_gib:g} GiB; a folder, {assumptions.files_limit:,} files; a distinct value takes "
        f"{assumptions.distinct_bytes} bytes; the stages have {assumptions.budget_hours:g} of the day's hours.",
        "- Training, serving and Airflow are not in it.",
    ]


def _hours(plan: Plan) -> list[str]:
    titles = [_workers_text(workers) for workers in WORKERS]
    lines = [_row("rows a day", *titles, "of that, in one process"), _row(*["---"] * (len(WORKERS) + 2))]
    for rows in DAYS:
        cells = [_time(plan.hours(rows=rows, workers=workers)) for workers in WORKERS]
        lines.append(_row(rows_text(rows), *cells, _time(plan.serial_secs(rows) / 3600)))
    return lines


def _workers(plan: Plan) -> list[str]:
    titles = [f"within {hours} h" for hours in HOURS]
    lines = [_row("rows a day", *titles, "kept"), _row(*["---"] * (len(HOURS) + 2))]
    for rows in DAYS:
        cells = [_price(plan, rows, hours) for hours in HOURS]
        lines.append(_row(rows_text(rows), *cells, f"{plan.stored_gib(rows):,.0f} GiB"))
    return lines


def _price(plan: Plan, rows: int, hours: int) -> str:
    workers = plan.workers(rows=rows, hours=hours)
    if workers is None:
        return "no number: the one process alone takes longer"
    return f"{_workers_text(workers)}, {plan.cost_usd(rows=rows, workers=workers):,.2f} USD a day"


def _limits(limits: Sequence[Limit]) -> list[str]:
    lines = [_row("from rows a day", "what", "why", "remedy"), _row(*["---"] * 4)]
    return lines + [_row(rows_text(limit.rows), limit.what, limit.why, limit.remedy) for limit in limits]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def rows_text(rows: float) -> str:
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if rows >= unit:
            return f"{rows / unit:.3g}{name}"
    return f"{rows:.0f}"


def _workers_text(workers: int) -> str:
    return f"{workers:,} worker{'s' if workers > 1 else ''}"


def _time(hours: float) -> str:
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:,.1f} days"
