"""What the gates cost: evaluation against mere scoring and the stock Evaluator, and a thousand off-policy resamples.

    python -m tests.benchmarks.gates                     # what `make bench` runs; ten minutes
    python -m tests.benchmarks.gates --rows 100000       # a short pass; writes nothing

Stages run as those of `data_plane`, whose log, model and stock side these are.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.data_plane.__main__ import run_stage
from tests.benchmarks.data_plane.columns import SPLITS
from tests.benchmarks.data_plane.log import write_log
from tests.benchmarks.data_plane.plan import MODEL_ROWS
from tests.benchmarks.report import Figure, Table, write_report

ROWS, STOCK_ROWS = 1_000_000, 100_000
CORES = 2
GOAL = 1.3
PLAIN = "scoring both models"
Stages = Mapping[str, Mapping[str, Any]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gates")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keeps data; default: a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gates") as temporary:
        folder = arguments.folder or Path(temporary)
        repeats, stock = measure(folder, rows=arguments.rows, repeats=arguments.repeats)
    figures = figures_of(repeats, rows=arguments.rows)
    for name, figure in figures.items():
        print(name, figure.as_json())
    if arguments.rows == ROWS:
        versions = {
            name: importlib.metadata.version(name) for name in ("tfx", "tensorflow", "tensorflow-model-analysis")
        }
        table = table_of(repeats, stock, rows=arguments.rows)
        print(
            write_report("gates", figures=figures, command="make bench", versions=versions, notes=NOTES, tables=[table])
        )
    return 0


def measure(folder: Path, *, rows: int, repeats: int) -> tuple[list[Stages], Mapping[str, Any]]:
    """Stages by repeat, in turns; and the stock Evaluator once."""
    model = folder / "model"
    if not (model / "train" / "artifacts.json").exists():
        write_log(folder / "data" / "model", rows=MODEL_ROWS)
        run_stage("ours", "model", folder / "data" / "model", model, model, 1)
    data, outputs = folder / "data" / str(rows), folder / "outputs" / str(rows)
    write_log(data, rows=rows)
    for stage in ("contract", "examples"):
        run_stage("ours", stage, data, outputs / "ours", model, CORES)
    found: list[Stages] = [
        {
            stage: run_stage("gates", stage, data, outputs / "gates", model, CORES)
            for stage in ("plain", "evaluate", "off_policy")
        }
        for _ in range(repeats)
    ]
    stock_data = folder / "data" / str(STOCK_ROWS)
    write_log(stock_data, rows=STOCK_ROWS)
    for stage in ("examples_csv", "evaluate"):
        stock = run_stage("stock", stage, stock_data, folder / "outputs" / "stock", model, CORES)
    return found, stock


def figures_of(repeats: list[Stages], *, rows: int) -> dict[str, Figure]:
    size = f"{rows / 1e6:g}M rows"

    def ours(stage: str, key: str) -> list[float]:
        return [found[stage][key] for found in repeats]

    return {
        f"CPU of evaluation, {size}": Figure(
            unit="s", ours=ours("evaluate", "cpu_secs"), peers={PLAIN: ours("plain", "cpu_secs")}, goal={PLAIN: GOAL}
        ),
        f"wall-clock of evaluation, {size}": Figure(
            unit="s", ours=ours("evaluate", "wall_secs"), peers={PLAIN: ours("plain", "wall_secs")}, goal={PLAIN: GOAL}
        ),
        "CPU of 1,000 off-policy resamples of 1M rows": Figure(unit="s", ours=ours("off_policy", "cpu_secs")),
    }


def table_of(repeats: list[Stages], stock: Mapping[str, Any], *, rows: int) -> Table:
    last = repeats[-1]
    eval_rows = STOCK_ROWS * SPLITS["eval"] // sum(SPLITS.values())
    measured = [
        ("evaluation of both models", rows, last["evaluate"]),
        (PLAIN, rows, last["plain"]),
        ("stock Evaluator, one model", eval_rows, stock),
        ("off-policy resamples", ROWS, last["off_policy"]),
    ]
    lines = [
        (what, f"{count:,}", f"{one['wall_secs']:.1f}", f"{one['cpu_secs']:.1f}", f"{one['peak_bytes'] / 2**30:.2f}")
        for what, count, one in measured
    ]
    return Table("The last repeat", ("what", "rows", "wall s", "CPU s", "peak GiB"), lines)


NOTES = (
    f"{CORES} cores. Evaluation: scoring, metrics, slices, intervals by user, plots, report, scored rows written.",
    "Mere scoring: rows read, made tensors, both models called with as many rows at a time. Imports are not counted.",
)


if __name__ == "__main__":
    sys.exit(main())
