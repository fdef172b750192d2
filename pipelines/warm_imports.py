"""What the warm worker has imported, and whether it is still what lies on disk.

    imported = import_everything()
    changed_files(imported)     # [] until a file of the platform changes

Pipeline folders (`pipelines.<name>.*`) are never imported here: only the child that runs a node imports them, so the next
node always sees the user's latest code.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

HEAVY = (
    "tfx.v1",
    "tfx.orchestration.portable.launcher",
    "tensorflow",
    "keras",
    "tensorflow_data_validation",
    "tensorflow_transform",
    "tensorflow_transform.beam",
    "tensorflow_model_analysis",
    "apache_beam",
    "apache_beam.runners.portability.fn_api_runner",
    "tfx.components.example_gen.csv_example_gen.executor",
    "tfx.components.statistics_gen.executor",
    "tfx.components.schema_gen.executor",
    "tfx.components.example_validator.executor",
    "tfx.components.transform.executor",
    "tfx.components.trainer.executor",
    "tfx.components.evaluator.executor",
    "tfx.components.pusher.executor",
    "pyarrow.parquet",
    "pandas",
    "polars",
    "duckdb",
    "great_expectations",
    "mlflow",
    "mlflow.tracking",
    "matplotlib",
    "psycopg2",
)
PLATFORM = ("components", "pipelines")

Snapshot = Mapping[Path, tuple[int, int]]
"""Modification time (ns) and size of every source file of the platform that is imported."""


def import_everything() -> Snapshot:
    """Imports the libraries and the platform; what cannot be imported is reported, and fails in the node that needs it."""
    started = time.time_ns()
    for name in HEAVY:
        _import(name)
    for name in _platform_modules():
        _import(name)
    snapshot = {path: _stat(path) for path in _platform_files()}
    # A file saved while it was being imported: nobody knows which version it was.
    return {path: (0, 0) if started <= stat[0] <= time.time_ns() else stat for path, stat in snapshot.items()}


def changed_files(snapshot: Snapshot) -> list[Path]:
    return [path for path, known in snapshot.items() if _stat(path) != known]


def unfit_to_fork() -> list[str]:
    """What an import started that a forked child could not use: TensorFlow's runtime, or Python threads."""
    found = [
        f"the thread {thread.name!r} runs" for thread in threading.enumerate() if thread is not threading.main_thread()
    ]
    context = sys.modules.get("tensorflow.python.eager.context")
    if context is not None and context.context()._initialized:
        found.append("TensorFlow has been started by a tensor made at import; make it in a function")
    return found


def _platform_modules() -> list[str]:
    """Modules of `components`, and those right below `pipelines`: its packages are pipelines, except the node runner."""
    components = importlib.import_module("components")
    names = [found.name for found in pkgutil.walk_packages(components.__path__, "components.")]
    pipelines = importlib.import_module("pipelines")
    names += [f"pipelines.{found.name}" for found in pkgutil.iter_modules(pipelines.__path__) if not found.ispkg]
    node = importlib.import_module("pipelines.node")
    names += [f"pipelines.node.{found.name}" for found in pkgutil.iter_modules(node.__path__)]
    # The command line lives in the services environment.
    return [name for name in names if not name.endswith("__main__") and name != "pipelines.cli"]


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception:  # noqa: BLE001  # whatever a module raises
        print(f"worker: {name} cannot be imported:\n{traceback.format_exc(limit=-2)}", file=sys.stderr, flush=True)


def _platform_files() -> list[Path]:
    files = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name.split(".")[0] in PLATFORM:
            files.add(Path(file))
    return sorted(files)


def _stat(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (-1, -1)
    return (stat.st_mtime_ns, stat.st_size)
