"""One stage of one side, in this process.

    python -m tests.benchmarks.data_plane.stage --side ours --stage statistics --data … --folder … --model … --cores 1

Writes `<folder>/<stage>.json`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", required=True)
    parser.add_argument("--stage", required=True)
    for name in ("data", "folder", "model"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--profiled", action="store_true")
    arguments = parser.parse_args()
    sys.argv = sys.argv[:1]  # TFX and Beam read it as flags of their own
    # When memory runs out, this process goes, and not its neighbours.
    Path("/proc/self/oom_score_adj").write_text("1000")
    # Before any library counts the cores.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])

    from tests.benchmarks.data_plane.sides import SIDES, Work, load_side

    assert arguments.side in SIDES
    work = Work(arguments.data, arguments.folder, arguments.model, arguments.cores)
    output = arguments.folder / arguments.stage
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    prepared = load_side(arguments.side).prepare(arguments.stage, work)

    from tests.benchmarks.data_plane.measuring import measure

    usage, profile = measure(prepared, profiled=arguments.profiled)
    files = [path for path in output.rglob("*") if path.is_file() and path.name != "artifacts.json"]
    found = dataclasses.asdict(usage) | {
        "output_bytes": sum(path.stat().st_size for path in files),
        "output_files": len(files),
        "profile": profile,
    }
    (arguments.folder / f"{arguments.stage}.json").write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    # Not `sys.exit`: what a runtime leaves running must not keep a finished stage.
    code = main()
    sys.stdout.flush()
    os._exit(code)
