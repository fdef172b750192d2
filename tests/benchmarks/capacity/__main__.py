"""Fits the slopes and writes docs/capacity.md.

python -m tests.benchmarks.capacity
python -m tests.benchmarks.capacity --usd-per-core-hour 0.04 --report other.json --output /tmp/capacity.md
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pipelines.manifest import write_atomically
from pipelines.settings import REPOSITORY
from tests.benchmarks.capacity.fitting import fit_stages
from tests.benchmarks.capacity.planning import Assumptions
from tests.benchmarks.capacity.rendering import render
from tests.benchmarks.report import FOLDER


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.capacity")
    parser.add_argument("--report", type=Path, default=FOLDER / "data_plane.json")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "docs" / "capacity.md")
    parser.add_argument("--usd-per-core-hour", type=float, default=Assumptions.usd_per_core_hour)
    parser.add_argument("--usd-per-gib-month", type=float, default=Assumptions.usd_per_gib_month)
    parser.add_argument("--cores-per-worker", type=int, default=Assumptions.cores_per_worker)
    arguments = parser.parse_args()
    if not arguments.report.exists():
        print(f"{arguments.report} is missing: run `python -m tests.benchmarks.data_plane` first", file=sys.stderr)
        return 78
    report = json.loads(arguments.report.read_text())
    assumptions = Assumptions(
        usd_per_core_hour=arguments.usd_per_core_hour,
        usd_per_gib_month=arguments.usd_per_gib_month,
        cores_per_worker=arguments.cores_per_worker,
    )
    write_atomically(arguments.output, render(report, fit_stages(report["data"]), assumptions).encode())
    print(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
