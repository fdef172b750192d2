"""From measurements to the figures with goals, and to the tables of the page."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.data_plane.plan import FRAMES, OURS, OURS_CHAIN, STOCK, Case
from tests.benchmarks.report import Figure, Table

CPU_TO_STOCK, CPU_TO_POLARS, WALL_TO_ONE_CORE, MEMORY_GROWTH, CONTRACT_SECS, WINDOW_TO_ONE_DAY = (
    0.05,
    2.0,
    0.6,
    1.2,
    3.0,
    1.2,
)
CHAINS = {
    "TFX from Parquet": ("stock", ("examples_parquet", "statistics", "transform")),
    "TFX from CSV": ("stock", ("examples_csv", "statistics", "transform")),
    "Polars": ("polars", FRAMES),
    "DuckDB": ("duckdb", FRAMES),
}
TITLES = {"ours": "Daybreak", "stock": "TFX", "polars": "Polars", "duckdb": "DuckDB"}
GIB = 2**30
NOTES = (
    "From the raw day to transformed records: examples, statistics and transform for Daybreak and TFX, statistics and "
    "transform for Polars and DuckDB, which need no examples. All read the same generated log.",
    "Work without imports, which a warm worker has paid; the tables show them apart, for every side. Every process is "
    "bound to as many cores as the table says, and TFX always to one.",
    "Polars and DuckDB count distinct values exactly and write Parquet; TFX's Transform computes no statistics. TFX's "
    "later stages read what its CSV ExampleGen wrote, since the Parquet one loses every 0.",
    "TFX ran once, and not at 5M rows: its ExampleGen holds them in memory. Its Evaluator ran at 0.1M rows only.",
    "Evaluate scores a model that was trained on a small day. At 1M rows it and the window ran once, at 5M everything.",
    "The window: seven days, each with as many rows as the table says, on the day after the first full one. Contract, "
    "examples, statistics and analysis; applying the graph to all seven days, whose vocabularies are new, is apart.",
)


@dataclass(frozen=True)
class Measurement:
    case: Case
    wall_secs: float
    cpu_secs: float
    startup_cpu_secs: float
    peak_bytes: int
    startup_bytes: int
    output_bytes: int
    output_files: int
    profile: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        found = {**self.case._asdict(), **dataclasses.asdict(self)}
        del found["case"]
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in found.items()}

    def line(self) -> str:
        return (
            f"{self.case.name}: {self.wall_secs:.1f} s, {self.cpu_secs:.1f} CPU s (and {self.startup_cpu_secs:.1f} to "
            f"start), {self.case.rows / self.cpu_secs:,.0f} rows/s a core, {self.peak_bytes / GIB:.2f} GiB"
        )


class Results:
    """Medians, and sums over a chain of stages; a chain with a stage missing has none."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._found: dict[tuple[int, str, str, int], list[Measurement]] = {}
        for measurement in sorted(measurements, key=lambda found: found.case.repeat):
            case = measurement.case
            if not case.profiled:
                self._found.setdefault((case.rows, case.side, case.stage, case.cores), []).append(measurement)

    @property
    def sizes(self) -> list[int]:
        return sorted({rows for rows, *_ in self._found})

    def of(self, rows: int, side: str, stage: str, cores: int = 1) -> list[Measurement]:
        return self._found.get((rows, side, stage, cores), [])

    def chain(self, rows: int, side: str, stages: Sequence[str], what: str, cores: int = 1) -> list[float]:
        """Per repeat, the sum over the stages."""
        runs = [self.of(rows, side, stage, cores) for stage in stages]
        return [sum(getattr(found, what) for found in one) for one in zip(*runs, strict=False)]


def figures_of(measurements: Sequence[Measurement]) -> dict[str, Figure]:
    """Those for which everything was measured."""
    results = Results(measurements)
    found: dict[str, Figure | None] = {}
    for rows in results.sizes:
        found[f"CPU to transformed, {_size(rows)} rows"] = _cpu(results, rows)
        found[f"wall on two cores, {_size(rows)} rows"] = _two_cores(results, rows)
        found[f"contract per million rows, at {_size(rows)}"] = _contract(results, rows)
        found[f"next day of a window, {_size(rows)} rows a day"] = _window(results, rows, "")
        found[f"the same with the graph applied, {_size(rows)} rows a day"] = _window(results, rows, "_applied")
    for smaller, larger in zip(results.sizes, results.sizes[1:], strict=False):
        for stage in OURS:
            found[f"peak memory of {stage}, {_size(larger)} rows"] = _memory(results, stage, smaller, larger)
    return {name: figure for name, figure in found.items() if figure is not None}


def _cpu(results: Results, rows: int) -> Figure | None:
    ours = results.chain(rows, "ours", OURS_CHAIN, "cpu_secs")
    peers = {name: results.chain(rows, side, stages, "cpu_secs") for name, (side, stages) in CHAINS.items()}
    peers = {name: secs for name, secs in peers.items() if secs}
    goals = {name: CPU_TO_STOCK if name.startswith("TFX") else CPU_TO_POLARS for name in peers if name != "DuckDB"}
    return Figure(unit="CPU s", ours=ours, peers=peers, goal=goals or None) if ours else None


def _two_cores(results: Results, rows: int) -> Figure | None:
    ours = results.chain(rows, "ours", OURS_CHAIN, "wall_secs", 2)
    one = results.chain(rows, "ours", OURS_CHAIN, "wall_secs")
    frames = results.chain(rows, "polars", FRAMES, "wall_secs", 2)
    if not ours or not one:
        return None
    peers = {"Daybreak on one core": one} | ({"Polars on two cores": frames} if frames else {})
    return Figure(unit="s", ours=ours, peers=peers, goal={"Daybreak on one core": WALL_TO_ONE_CORE})


def _contract(results: Results, rows: int) -> Figure | None:
    secs = [found.cpu_secs / rows * 1e6 for found in results.of(rows, "ours", "contract")]
    return Figure(unit="CPU s", ours=secs, goal=CONTRACT_SECS) if secs else None


def _window(results: Results, rows: int, last: str) -> Figure | None:
    ours, one = (
        [found.cpu_secs for found in results.of(rows, "window", stage + last)] for stage in ("next", "one_day")
    )
    if not ours or not one:
        return None
    peers = {"one day alone": one}
    if not last:
        peers["all seven days"] = [found.cpu_secs for found in results.of(rows, "window", "first")]
    return Figure(unit="CPU s", ours=ours, peers=peers, goal=None if last else {"one day alone": WINDOW_TO_ONE_DAY})


def _memory(results: Results, stage: str, smaller: int, larger: int) -> Figure | None:
    ours, before = ([one.peak_bytes / GIB for one in results.of(rows, "ours", stage)] for rows in (larger, smaller))
    if not ours or not before:
        return None
    peer = f"Daybreak, {_size(smaller)} rows"
    return Figure(unit="GiB", ours=ours, peers={peer: before}, goal={peer: MEMORY_GROWTH})


def tables_of(measurements: Sequence[Measurement]) -> list[Table]:
    results = Results(measurements)
    found = [_stages(results, rows) for rows in results.sizes]
    profiled = [measurement for measurement in measurements if measurement.profile]
    largest = max((measurement.case.rows for measurement in profiled), default=0)
    return found + [_profile(measurement) for measurement in profiled if measurement.case.rows == largest]


def _stages(results: Results, rows: int) -> Table:
    lines = []
    for side, stages in {"ours": OURS, "stock": STOCK, "polars": FRAMES, "duckdb": FRAMES}.items():
        for stage in stages:
            for cores in (1, 2):
                if repeats := results.of(rows, side, stage, cores):
                    lines.append([stage, TITLES[side], str(cores), *_cells(repeats)])
    lines.sort(key=lambda line: (OURS.index(line[0].split("_")[0]), list(TITLES.values()).index(line[1])))
    columns = [
        "stage",
        "side",
        "cores",
        "wall s",
        "CPU s",
        "rows/s per core",
        "peak GiB",
        "without imports",
        "imports, CPU s",
        "output MiB",
    ]
    return Table(f"{_size(rows)} rows, stage by stage (medians)", columns, lines)


def _cells(repeats: Sequence[Measurement]) -> list[str]:
    def median(what: str) -> float:
        return statistics.median(getattr(found, what) for found in repeats)

    cpu = median("cpu_secs")
    return [
        f"{median('wall_secs'):.1f}",
        f"{cpu:.1f}",
        f"{repeats[0].case.rows / cpu:,.0f}",
        f"{median('peak_bytes') / GIB:.2f}",
        f"{(median('peak_bytes') - median('startup_bytes')) / GIB:.2f}",
        f"{median('startup_cpu_secs'):.1f}",
        f"{median('output_bytes') / 2**20:.1f}",
    ]


def _profile(measurement: Measurement) -> Table:
    lines = [[f"{share:.1%}", place] for place, share in measurement.profile.items() if share >= 0.005]
    case = measurement.case
    return Table(
        f"Where the CPU of `{case.stage}` goes ({_size(case.rows)} rows, one core)",
        ["share", "innermost function"],
        lines,
    )


def _size(rows: int) -> str:
    return f"{rows / 1e6:g}M" if rows >= 100_000 else f"{rows:,}"
