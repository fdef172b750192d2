"""The cost ledger as a table, with the runs that left no version.

print(render(read_lines(registry, settings, "shop", prices)))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from components.decision.record import DECISION_FILE, DecisionRecord, read_record
from components.inference.net_benefit import Estimate
from components.registry.versions import Registry
from components.worth.ledger import Entry, read_costs
from components.worth.spending import node_costs
from pipelines.outcome import read_outcomes
from pipelines.settings import Settings
from pipelines.spec import Prices

_COLUMNS = ("day", "version", "cost USD", "training", "gates", "kWh", "net benefit USD", "KPI lift", "decided")


class Line(NamedTuple):
    day: str
    version: str
    """"" for a run that was skipped, refused or failed."""
    cost_usd: float
    decided: str = ""
    entry: Entry | None = None


def read_lines(registry: Registry, settings: Settings, pipeline: str, prices: Prices) -> list[Line]:
    """By day. A version has one line, however many runs found it again; a run that left none has its own cost."""
    entries = read_costs(registry)
    return sorted([*_of_versions(entries), *_of_runs(settings, pipeline, prices)], key=lambda line: line.day)


def _of_versions(entries: Mapping[str, Entry]) -> Iterator[Line]:
    for version, entry in entries.items():
        yield Line(entry.day, version, entry.total_usd, _reason(entry), entry)


def _reason(entry: Entry) -> str:
    return entry.statement.reason if entry.statement else ""


def _of_runs(settings: Settings, pipeline: str, prices: Prices) -> Iterator[Line]:
    for path in sorted((settings.runs / pipeline).glob(f"*/{DECISION_FILE}")):
        record = read_record(path)
        if record.model is None or record.model.version is None:
            yield Line(record.day, "", _spent(settings, record, prices), f"{record.verdict.value}: {record.reason}")


def _spent(settings: Settings, record: DecisionRecord, prices: Prices) -> float:
    outcomes = read_outcomes(settings, record.pipeline, record.run_id)
    return sum(cost.today_usd for cost in node_costs(outcomes, makers={}, prices=prices))


def sum_of_runs(settings: Settings, pipeline: str, prices: Prices) -> float:
    """What all runs on disk spent, each try once: the lines overlap where a node of one is reused by another."""
    spent = 0.0
    for folder in (settings.runs / pipeline).glob("*/nodes"):
        outcomes = read_outcomes(settings, pipeline, folder.parent.name)
        spent += sum(cost.today_usd for cost in node_costs(outcomes, makers={}, prices=prices))
    return spent


def render(lines: Sequence[Line], *, spent_usd: float) -> str:
    rows = [_COLUMNS, *map(_cells, lines)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_COLUMNS))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return (
        "\n".join([*text, f"{spent_usd:.4g} USD spent by the runs on disk, reuse counted once; kWh are an estimate"])
        + "\n"
    )


def _cells(line: Line) -> tuple[str, ...]:
    entry = line.entry
    statement = entry.statement if entry else None
    return (
        line.day,
        line.version or "none",
        f"{line.cost_usd:.4g}" + ("+" if entry and entry.unknown else ""),
        f"{entry.training_usd:.4g}" if entry else "",
        f"{entry.gates_usd:.4g}" if entry else "",
        f"{entry.energy_kwh:.2g}" if entry else "",
        _interval(statement.net_usd, ".2f") if statement else "",
        f"{statement.kpi} {_interval(statement.lift, '+.2%')}" if statement and statement.lift else "",
        line.decided[:120],
    )


def _interval(found: Estimate | None, form: str) -> str:
    return f"{found.value:{form}} [{found.low:{form}}, {found.high:{form}}]" if found else ""
