"""What every benchmark writes, `docs/benchmarks/<name>.json`, and the one page that shows them all.

    figure = Figure(unit="s", ours=[60.1, 58.9], peers={"LocalDagRunner": [110.2, 108.0]}, goal={"LocalDagRunner": 0.6})
    write_report("chain", figures={"wall": figure}, command="make bench", versions={"tfx": "1.21.0"})

A goal is a ratio to peers by name, or an absolute bound on our own median. Everything is lower-is-better.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.manifest import write_atomically
from pipelines.settings import REPOSITORY

FOLDER = REPOSITORY / "docs" / "benchmarks"


@dataclass(frozen=True)
class Figure:
    unit: str
    ours: Sequence[float]
    """One value per repeat."""
    peers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    goal: Mapping[str, float] | float | None = None

    def as_json(self) -> dict[str, Any]:
        ours = statistics.median(self.ours)
        ratio = {name: round(ours / statistics.median(values), 3) for name, values in self.peers.items()}
        return {
            "unit": self.unit,
            "ours": _spread(self.ours),
            "peers": {name: _spread(values) for name, values in self.peers.items()},
            "ratio": ratio,
            "goal": dict(self.goal) if isinstance(self.goal, Mapping) else self.goal,
            "met": self._met(ours, ratio),
        }

    def _met(self, ours: float, ratio: Mapping[str, float]) -> bool | None:
        if self.goal is None:
            return None
        if isinstance(self.goal, Mapping):
            return all(ratio[name] <= bound for name, bound in self.goal.items())
        return ours <= self.goal


@dataclass(frozen=True)
class Table:
    """What stands on the page below the figures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def write_report(
    name: str,
    *,
    figures: Mapping[str, Figure],
    command: str,
    versions: Mapping[str, str],
    notes: Sequence[str] = (),
    tables: Sequence[Table] = (),
    data: Sequence[Mapping[str, Any]] = (),
    folder: Path = FOLDER,
) -> Path:
    """Writes the JSON, then renders the page anew from all of them. `data` is kept for other scripts, and not shown."""
    report = {
        "name": name,
        "date": datetime.date.today().isoformat(),
        "machine": _machine(),
        "versions": dict(versions),
        "command": command,
        "figures": {figure: value.as_json() for figure, value in figures.items()},
        "notes": list(notes),
        "tables": [dataclasses.asdict(table) for table in tables],
        "data": list(data),
    }
    path = folder / f"{name}.json"
    write_atomically(path, json.dumps(report, indent=1).encode() + b"\n")
    write_atomically(folder / "README.md", render(folder).encode())
    return path


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }


def render(folder: Path = FOLDER) -> str:
    """The page, from all reports of the folder."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    # Others than benchmarks keep tables there too, with a page of their own.
    reports = [report for report in found if "figures" in report]
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` from the JSON files beside it. Medians, with the smallest and largest repeat in brackets;",
        "lower is better, and a ratio is ours divided by the peer's, measured in the same session, in turns.",
    ]
    for report in reports:
        lines += ["", *_section(report)]
    return "\n".join(lines) + "\n"


def _section(report: Mapping[str, Any]) -> list[str]:
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    lines = [
        f"## {report['name']}",
        "",
        f"{report['date']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Python {machine['python']}; {versions}.",
        f"Again with `{report['command']}`.",
        *([""] if report.get("notes") else []),
        *(f"- {note}" for note in report.get("notes", [])),
        "",
        "| figure | side | median (min to max) | ratio | goal | met |",
        "|---|---|---|---|---|---|",
    ]
    for name, figure in report["figures"].items():
        lines += _rows(name, figure)
    for table in report.get("tables", []):
        lines += ["", f"### {table['title']}", "", *_table(table["columns"], table["rows"])]
    return lines


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_line(columns), _line(["---"] * len(columns)), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _rows(name: str, figure: Mapping[str, Any]) -> list[str]:
    unit, goal = figure["unit"], figure["goal"]
    own_goal = f"<= {goal:g} {unit}" if isinstance(goal, int | float) else ""
    met = {True: "yes", False: "no", None: ""}[figure["met"]]
    rows = [f"| {name} | **Daybreak** | {_text(figure['ours'], unit)} | | {own_goal} | {met} |"]
    for peer, spread in figure["peers"].items():
        bound = f"<= {goal[peer]:g}" if isinstance(goal, dict) and peer in goal else ""
        rows.append(f"| | {peer} | {_text(spread, unit)} | {_ratio(figure['ratio'][peer])} | {bound} | |")
    return rows


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3f}"


def _text(spread: Mapping[str, float], unit: str) -> str:
    return f"{spread['median']:.1f} {unit} ({spread['min']:.1f} to {spread['max']:.1f})"
