"""The Chicago taxi pipeline through Airflow and the warm worker, against TFX's own runners in one process each.

    python -m tests.benchmarks.chain                            # what `make bench` runs
    python -m tests.benchmarks.chain --repeats 1 --steps 50     # a short pass; writes nothing

Nine standard nodes, the same data, nothing cached. Peers: wall-clock of the whole process, imports included. Ours: from
the trigger to the end of the last node; its services are down while a peer runs. Sides take turns.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from pipelines.settings import REPOSITORY
from tests.benchmarks.airflow_side import Run, services, trigger, wait_for_dag
from tests.benchmarks.report import Figure, write_report
from tests.benchmarks.taxi_chain.stock import MODES, RUNNERS

PIPELINE = "taxi_chain"
MODULE = "tests.benchmarks.taxi_chain.pipeline"
DAY = "2026-01-05"
STOCK_EXAMPLE = "BeamDagRunner multi_processing"
NODE_START_GOAL_SECS = 1.5
GOAL_STOCK_EXAMPLE, GOAL_BEST_STOCK = 0.6, 0.9
FULL_STEPS = 1000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.chain")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--steps", type=int, default=FULL_STEPS, help="training steps; fewer is not comparable, so not kept"
    )
    parser.add_argument("--state", type=Path, help="folder for our services; default: a temporary one")
    arguments = parser.parse_args()
    if not os.environ.get("DAYBREAK_TEST_DATA"):
        print("DAYBREAK_TEST_DATA must name the folder above taxi/taxi_trips.csv", file=sys.stderr)
        return 78
    # Short: sockets lie below it.
    folder = Path(tempfile.mkdtemp(prefix="bench", dir="/tmp"))
    folder.chmod(0o755)  # as root, PostgreSQL runs as another user
    try:
        state = arguments.state or folder / "state"
        ours, peers = _measure(folder, state, repeats=arguments.repeats, steps=arguments.steps)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = _figures(ours, peers)
    for name, figure in figures.items():
        print(name, figure.as_json())
    if arguments.steps == FULL_STEPS:
        print(write_report("chain", figures=figures, command="make bench", versions=_versions()))
    return 0


def _measure(folder: Path, state: Path, *, repeats: int, steps: int) -> tuple[list[Run], dict[str, list[float]]]:
    environ = {**os.environ, "DAYBREAK_BENCHMARK_STEPS": str(steps)}
    ours: list[Run] = []
    peers: dict[str, list[float]] = defaultdict(list)
    for repeat in range(repeats):
        ours.append(_run_ours(state, environ))
        print(f"{repeat + 1}/{repeats} Daybreak: {ours[-1].wall_secs:.1f} s {_rounded(ours[-1].node_secs)}", flush=True)
        for mode in MODES:
            for runner in RUNNERS:
                secs = _run_peer(runner, mode, folder / f"{runner}-{mode}-{repeat}", steps)
                peers[f"{runner} {mode}"].append(secs)
                print(f"{repeat + 1}/{repeats} {runner} {mode}: {secs:.1f} s", flush=True)
    return ours, dict(peers)


def _run_ours(state: Path, environ: Mapping[str, str]) -> Run:
    compiled = {**environ, "DAYBREAK_STATE": str(state)}
    command = [sys.executable, "-m", "pipelines.compile", MODULE]
    subprocess.run(command, env=compiled, cwd=REPOSITORY, check=True, capture_output=True)
    with services(state, environ) as settings:
        wait_for_dag(settings, PIPELINE)
        time.sleep(10)  # what starting up left over must not be measured
        return trigger(settings, PIPELINE, day=DAY)


def _run_peer(runner: str, mode: str, folder: Path, steps: int) -> float:
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.benchmarks.taxi_chain.stock", "--runner", runner, "--mode", mode]
    command += ["--folder", str(folder), "--steps", str(steps)]
    # Beam's worker processes import the pipeline's module too.
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    started = time.monotonic()
    done = subprocess.run(command, env=environ, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    secs = time.monotonic() - started
    if done.returncode:
        raise RuntimeError(f"{runner} {mode} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    shutil.rmtree(folder)
    return secs


def _figures(ours: list[Run], peers: Mapping[str, list[float]]) -> dict[str, Figure]:
    in_memory = {name: sorted(secs)[len(secs) // 2] for name, secs in peers.items() if name.endswith("in_memory")}
    best = min(in_memory, key=lambda name: in_memory[name])
    wall = Figure(
        unit="s",
        ours=[run.wall_secs for run in ours],
        peers=peers,
        goal={STOCK_EXAMPLE: GOAL_STOCK_EXAMPLE, best: GOAL_BEST_STOCK},
    )
    starts = [secs for run in ours for secs in run.node_start_secs]
    return {"wall": wall, "node_start": Figure(unit="s", ours=starts, goal=NODE_START_GOAL_SECS)}


def _versions() -> dict[str, str]:
    names = ("tfx", "tensorflow", "apache-beam")
    found = {name: importlib.metadata.version(name) for name in names}
    airflow = [str(REPOSITORY / ".venvs" / "orchestrator" / "bin" / "python"), "-c"]
    airflow.append("import importlib.metadata; print(importlib.metadata.version('apache-airflow'))")
    return {**found, "apache-airflow": subprocess.check_output(airflow, text=True).strip()}


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in values.items()}


if __name__ == "__main__":
    sys.exit(main())
