"""A small day of every column type, as the examples node makes it.

examples = run(tmp_path, table(1000))
rows = rows_of(examples, "train")
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components.artifacts import RawDay
from components.examples.executor import ExamplesExecutor
from components.examples.records import read, row_groups
from pipelines.spec import Data

RUNNER = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", "--direct_running_mode=in_memory"]
FOUR_THREADS = [*RUNNER, "--row_group_threads=4"]
COLUMNS = {"user": "string", "price": "float", "count": "int", "bought": "bool", "words": "strings", "history": "ints"}
DATA = Data.model_validate(
    {
        "source": {"format": "parquet", "path": "{day}"},
        "columns": COLUMNS,
        "label": "bought",
        "split_key": "user",
        "splits": {"train": 3, "eval": 1},
    }
)


def table(rows: int) -> pa.Table:
    return pa.table(
        {
            "user": [f"user{row % 97}" for row in range(rows)],
            "price": pa.array([None if row % 7 == 0 else float(row % 3) for row in range(rows)], pa.float64()),
            "count": pa.array([row % 2 for row in range(rows)], pa.int32()),
            "bought": [row % 5 == 0 for row in range(rows)],
            "words": [["", "a"][: row % 3] for row in range(rows)],
            "history": pa.array([None if row % 11 == 0 else [0, row] for row in range(rows)], pa.list_(pa.int64())),
            "extra": ["dropped"] * rows,
        }
    )


def run(
    folder: Path, rows: pa.Table, *, data: Data = DATA, arguments: Sequence[str] = RUNNER, row_group_size: int = 100
) -> standard_artifacts.Examples:
    path = rows_file(folder)
    path.parent.mkdir(parents=True)
    pq.write_table(rows, path, row_group_size=row_group_size)
    return run_again(folder, data=data, arguments=arguments)


def rows_file(folder: Path) -> Path:
    return folder / "raw" / "rows-00000-of-00001.parquet"


def run_again(folder: Path, *, data: Data = DATA, arguments: Sequence[str] = RUNNER) -> standard_artifacts.Examples:
    """On the rows that are there."""
    raw, examples = RawDay(), standard_artifacts.Examples()
    raw.uri, examples.uri = str(folder / "raw"), str(folder / "examples")
    raw.span = 20458
    context = BaseBeamExecutor.Context(beam_pipeline_args=list(arguments))
    outputs = {"examples": [examples]}
    if data.downsample:
        outputs["sample"] = [sample_in(folder)]
    ExamplesExecutor(context).Do({"rows": [raw]}, outputs, {"data": data.model_dump_json()})
    return examples


def sample_in(folder: Path) -> standard_artifacts.Examples:
    """The artifact of down-sampled examples that `run` writes with `data.downsample`."""
    sample = standard_artifacts.Examples()
    sample.uri, sample.split_names = str(folder / "sample"), '["train"]'
    return sample


def rows_of(examples: Any, split: str) -> pa.Table:
    return pa.Table.from_batches([read(found) for found in row_groups(Path(examples.uri), split)])


def contents(folder: str) -> dict[str, bytes]:
    """Every file below `folder`, by relative path."""
    root = Path(folder)
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
