"""The comparison for people: a row for each model (JSON, HTML), the chosen one marked and the reason on top."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from components.choice.quality import Quality
from components.choice.rules import ORDER, Choice
from pipelines.spec import BaselineModel, Frozen

TABLE, PAGE = "models.json", "models.html"
_STYLE = """<style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222 }
table { border-collapse: collapse } th, td { border-bottom: 1px solid #ddd; padding: .25em .7em; text-align: right }
th:first-child, td:first-child { text-align: left } tr.chosen { background: #e5f3e5; font-weight: 600 }
</style>"""

Cell = str | int | float | bool | None
Row = dict[str, Cell]


class Cost(Frozen):
    train_secs: float
    model_bytes: int
    latency_secs: dict[int, float]
    """By rows of a batch."""


def to_rows(
    quality: Quality,
    aucs: Mapping[str, float | None],
    costs: Mapping[str, Cost],
    *,
    choice: Choice,
    missing: Mapping[BaselineModel, str],
) -> list[Row]:
    """From the simplest model on; of one that is missing, why."""
    best = min(quality.names, key=lambda name: quality.loss(name).value)
    rows: list[Row] = []
    for name in ORDER:
        if name in quality.names:
            row = _row(name, quality, best=best) | {"auc": aucs[name]} | _cost_cells(costs[name])
            rows.append(row | {"chosen": name == choice.model, "note": choice.reason if name == choice.model else ""})
        elif name in missing:
            rows.append({"model": name, "chosen": False, "note": missing[name]})
    return rows


def write_table(folder: Path, rows: Sequence[Row], *, reason: str) -> None:
    """Writes `models.json` and `models.html`."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    data = [[row.get(column) for column in columns] for row in rows]
    (folder / TABLE).write_text(json.dumps({"columns": columns, "data": data}))
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join(
        f"<tr{' class=chosen' if row['chosen'] else ''}>"
        + "".join(f"<td>{_text(row.get(column))}</td>" for column in columns)
        + "</tr>"
        for row in rows
    )
    title = f"<title>Models</title>{_STYLE}<h2>{escape(reason)}</h2>"
    (folder / PAGE).write_text(f"<!doctype html><meta charset=utf-8>{title}<table><tr>{head}</tr>\n{body}</table>")


def _row(name: str, quality: Quality, *, best: str) -> Row:
    loss, over_best = quality.loss(name), quality.difference(name, best)
    low, high = loss.interval
    return {
        "model": name,
        quality.metric: loss.value,
        "low": low,
        "high": high,
        "over best": over_best.value,
        "its standard error": over_best.error,
    }


def _cost_cells(cost: Cost) -> Row:
    latencies: Row = {f"ms for {size}": round(1000 * seconds, 4) for size, seconds in cost.latency_secs.items()}
    return {"train seconds": cost.train_secs, "bytes": cost.model_bytes} | latencies


def _text(value: Cell) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    return f"{value:.5g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else escape(value)
