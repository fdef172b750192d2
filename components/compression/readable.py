"""The variants for people: `variants.json` and `slices.json` (tables), `variants.html`, `pareto.png`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from components.compression.choice import Choice, loss
from components.compression.measurement import MANY, Measurement
from components.evaluation.metrics import OVERALL
from pipelines.spec import Compress
from pipelines.spec.compress import LossMetric

Table = tuple[list[str], list[list[Any]]]
_STYLE = """<style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222 }
table { border-collapse: collapse } th, td { border-bottom: 1px solid #ddd; padding: .25em .7em; text-align: right }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left } tr.chosen { background: #fbeee6 }
</style>"""


def write_readable(folder: Path, found: Sequence[Measurement], choice: Choice, *, compress: Compress) -> None:
    """`found` begins with full precision."""
    folder.mkdir(parents=True, exist_ok=True)
    table = variant_rows(found, choice)
    for name, (columns, rows) in {"variants": table, "slices": slice_rows(found, compress)}.items():
        (folder / f"{name}.json").write_text(json.dumps({"columns": columns, "data": rows}))
    (folder / "variants.html").write_text(_page(table, choice))
    _plot(folder / "pareto.png", found, choice, metric=next(iter(compress.max_loss)))


def variant_rows(found: Sequence[Measurement], choice: Choice) -> Table:
    metrics = list(found[0].quality.get(OVERALL, {}))
    speeds = ["p50 ms", "p99 ms", f"p50 ms of {MANY}", f"p99 ms of {MANY}", "rows per second"]
    rows = []
    for each in found:
        speed = each.speed
        times = (
            [speed.one.p50_ms, speed.one.p99_ms, speed.many.p50_ms, speed.many.p99_ms, speed.throughput]
            if speed
            else [None] * len(speeds)
        )
        quality = [each.quality.get(OVERALL, {}).get(metric) for metric in metrics]
        rows.append(
            [each.name, each.bytes or None, each.gzip_bytes or None, *quality, *times, choice.reasons[each.name]]
        )
    return ["variant", "bytes", "gzip bytes", *metrics, *speeds, "why"], rows


def slice_rows(found: Sequence[Measurement], compress: Compress) -> Table:
    """What each variant loses in each slice, of the metrics that the spec bounds."""
    full, metrics = found[0], list(dict.fromkeys([*compress.max_loss, *compress.max_slice_loss]))
    columns = ["slice", "rows", *(f"{each.name} loss of {metric}" for metric in metrics for each in found[1:])]
    rows: list[list[Any]] = []
    for name, count in full.slice_rows.items():
        losses = [_lost(metric, full, each, name) for metric in metrics for each in found[1:]]
        rows.append([name, count, *losses])
    return columns, rows


def _lost(metric: LossMetric, full: Measurement, each: Measurement, name: str) -> float | None:
    before, after = (measured.quality.get(name, {}).get(metric) for measured in (full, each))
    return None if before is None or after is None else loss(metric, before, after)


def _page(table: Table, choice: Choice) -> str:
    columns, rows = table
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join(
        f"<tr{' class=chosen' if row[0] == choice.name else ''}>"
        + "".join(f"<td>{_cell(value)}</td>" for value in row)
        + "</tr>"
        for row in rows
    )
    title = f"Served: {escape(choice.name)}"
    return f"<!doctype html><meta charset=utf-8><title>Variants</title>{_STYLE}<h2>{title}</h2><table><tr>{head}</tr>\n{body}</table>"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return (
        f"{value:,.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else escape(str(value))
    )


def _plot(path: Path, found: Sequence[Measurement], choice: Choice, *, metric: LossMetric) -> None:
    """Compressed bytes and latency against `metric`; the line joins what nothing else beats in both."""
    # Not pyplot: it keeps state, and a warm worker's child must not look for a display.
    figure = Figure(figsize=(10, 4.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    full, usable = found[0], [each for each in found if not each.error]
    sides = {
        "kB, compressed": {each.name: each.gzip_bytes / 1000 for each in usable},
        "p50 of a row, ms": {each.name: each.speed.one.p50_ms for each in usable if each.speed},
    }
    for place, (label, costs) in enumerate(sides.items(), start=1):
        axes = figure.add_subplot(1, 2, place)
        points = [
            (costs[each.name], lost, each.name)
            for each in usable
            if each.name in costs and (lost := _lost(metric, full, each, OVERALL)) is not None
        ]
        for cost, lost, name in points:
            axes.plot([cost], [lost], "o", color="#d9622b" if name == choice.name else "#4a6fa5")
            axes.annotate(name, (cost, lost), xytext=(4, 4), textcoords="offset points", fontsize=8)
        front = pareto_front([(cost, lost) for cost, lost, _ in points])
        axes.plot(*zip(*front, strict=True), color="#999", linewidth=1, zorder=0) if front else None
        axes.set_xlabel(label)
        axes.set_ylabel(f"loss of {metric}")
        axes.grid(alpha=0.3)
    figure.savefig(path)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that no other point is below or left of without being above or right of them, from left to right."""
    front: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front
