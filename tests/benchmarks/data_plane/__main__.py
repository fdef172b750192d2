"""Every data stage at three sizes of a generated log, ours against stock TFX, Polars and DuckDB.

    python -m tests.benchmarks.data_plane                                # what `make bench` runs; an hour
    python -m tests.benchmarks.data_plane --rows 100000 --repeats 1      # a short pass; writes nothing
    python -m tests.benchmarks.data_plane --folder /data/bench           # goes on where a stopped one was

One process per stage and side; sides take turns. Imports are counted apart: a warm worker has paid them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.settings import REPOSITORY
from tests.benchmarks.data_plane.figures import NOTES, Measurement, figures_of, tables_of
from tests.benchmarks.data_plane.log import write_log
from tests.benchmarks.data_plane.plan import FULL_ROWS, MODEL_ROWS, Case, cases
from tests.benchmarks.report import write_report

PACKAGES = ("tfx", "tensorflow", "apache-beam", "pyarrow", "polars", "duckdb", "great-expectations")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.data_plane")
    parser.add_argument("--rows", type=_numbers, default=FULL_ROWS, help="sizes, by commas")
    parser.add_argument("--repeats", type=int, default=3, help="at up to 1M rows; stock TFX runs once")
    parser.add_argument("--stages", type=_words, default=(), help="only these; writes nothing")
    parser.add_argument("--sides", type=_words, default=(), help="ours, window, stock, polars, duckdb; writes nothing")
    parser.add_argument("--folder", type=Path, help="keeps data and measurements; default: a temporary one")
    arguments = parser.parse_args()
    chosen = [
        case
        for case in cases(arguments.rows, repeats=arguments.repeats)
        if (not arguments.stages or case.stage in arguments.stages)
        and (not arguments.sides or case.side in arguments.sides)
    ]
    with _folder(arguments.folder) as folder:
        found = [_measured(case, folder) for case in chosen]
    measurements = [one for one in found if isinstance(one, Measurement)]
    failures = [one for one in found if isinstance(one, str)]
    figures, tables = figures_of(measurements), tables_of(measurements)
    for name, figure in figures.items():
        print(name, figure.as_json())
    if arguments.rows == FULL_ROWS and not arguments.stages and not arguments.sides:
        path = write_report(
            "data_plane",
            figures=figures,
            command="make bench",
            versions=_versions(),
            notes=[*NOTES, *failures],
            tables=tables,
            data=[measurement.as_json() for measurement in measurements],
        )
        print(path)
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(word.replace("_", "")) for word in text.split(",")))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    folder = given or Path(tempfile.mkdtemp(prefix="data_plane"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if given is None:
            shutil.rmtree(folder, ignore_errors=True)


def _measured(case: Case, folder: Path) -> Measurement | str:
    """Runs it, unless this folder holds its measurement. A peer that fails is told, and the others go on."""
    kept = folder / "measurements" / f"{case.name}.json"
    if not kept.exists():
        _make_model(folder)
        data = folder / "data" / str(case.rows)
        write_log(data, rows=case.rows)
        found = _run(case, data, folder)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found))
    found = json.loads(kept.read_text())
    if "failed" in found:
        print(found["failed"], flush=True)
        return str(found["failed"])
    measurement = Measurement(case, **found)
    print(measurement.line(), flush=True)
    return measurement


def _run(case: Case, data: Path, folder: Path) -> dict[str, object]:
    outputs = folder / "outputs" / str(case.rows) / case.side
    try:
        return run_stage(case.side, case.stage, data, outputs, folder / "model", case.cores, profiled=case.profiled)
    except RuntimeError as error:
        if case.side in ("ours", "window"):
            raise
        why = str(error).strip().splitlines()
        return {"failed": f"At {case.rows:,} rows {why[0].rstrip(':')}: {why[-1][:200]}"}


def _make_model(folder: Path) -> None:
    model, data = folder / "model", folder / "data" / "model"
    if (model / "train" / "artifacts.json").exists():
        return
    write_log(data, rows=MODEL_ROWS)
    run_stage("ours", "model", data, model, model, 1)


def run_stage(
    side: str, stage: str, data: Path, folder: Path, model: Path, cores: int, *, profiled: bool = False
) -> dict[str, object]:
    """Raises `RuntimeError` with the end of its output when it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    command: Sequence[str] = [
        *(sys.executable, "-m", "tests.benchmarks.data_plane.stage", "--side", side, "--stage", stage),
        *("--data", str(data), "--folder", str(folder), "--model", str(model), "--cores", str(cores)),
        *(["--profiled"] if profiled else []),
    ]
    log = folder / f"{stage}.log"
    with log.open("wb") as output:
        done = subprocess.run(command, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        end = log.read_text(errors="replace")[-3000:]
        raise RuntimeError(f"{side} {stage} ended with {done.returncode}:\n{end}")
    found: dict[str, object] = json.loads((folder / f"{stage}.json").read_text())
    return found


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in PACKAGES}


if __name__ == "__main__":
    sys.exit(main())
