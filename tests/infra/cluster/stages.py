"""Run in the ML environment: the Beam stages of a day by their real executors, on one cluster after the other.

python -m tests.infra.cluster.stages FOLDER --pipeline shop --on local flink [--only statistics] [--log FILE]

FOLDER/rows is the day that the contract would hand on, in `GROUPS` row groups; made when it is not there. Results are in
FOLDER/<cluster>/<stage>. An error ends the process as it ends a node: in the words and with the exit code of Airflow's task.
"""

from __future__ import annotations

import argparse
import datetime
import shutil
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components.artifacts import DataDocs, GateReport, Quarantine, RawDay
from components.contract.executor import ContractExecutor
from components.examples import records
from components.examples.executor import ExamplesExecutor
from components.statistics import executor as statistics_executor
from components.transform import application
from components.transform.executor import TransformExecutor
from pipelines.cluster import beam_args
from pipelines.node.failures import explain
from pipelines.settings import Settings
from pipelines.shop import simulator
from pipelines.shop.world import World
from pipelines.spec import Cluster, load_spec, pipeline_folder
from tests.infra.cluster import watched

GROUPS = 9
SPAN = 20458
STAGES = ("examples", "statistics", "transform")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pipeline", default="shop")
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--on", nargs="+", required=True)
    parser.add_argument("--only", choices=STAGES)
    parser.add_argument("--features", default="")
    parser.add_argument("--log", default="")
    given = parser.parse_args()
    if not (given.folder / "rows").exists():
        make_rows(given.pipeline, given.folder, rows=given.rows)
    if given.log:
        statistics_executor.FeatureStatistics = partial(watched.Statistics, given.log)  # type: ignore[assignment,misc]
        application._TransformRowGroup = partial(watched.TransformRowGroup, given.log)  # type: ignore[assignment,misc]
    try:
        for kind in given.on:
            arguments = beam_args(Cluster.model_validate(kind), Settings.from_environment())
            for stage in [given.only] if given.only else STAGES:
                context = BaseBeamExecutor.Context(beam_pipeline_args=arguments)
                run_stage(stage, given.pipeline, given.folder, given.folder / kind, context, given.features)
    except Exception as error:
        traceback.print_exc()
        found = explain(error, user_code=[pipeline_folder(given.pipeline)], place=given.pipeline)
        print(f"daybreak: {found}", flush=True)
        return found.exit_code
    return 0


def make_rows(pipeline: str, folder: Path, *, rows: int) -> None:
    made = {"shop": _shop, "taxi": _taxi}[pipeline](folder, rows)
    (folder / "rows").mkdir()
    pq.write_table(made, folder / "rows" / "rows-00000-of-00001.parquet", row_group_size=-(-len(made) // GROUPS))


def _shop(folder: Path, rows: int) -> Any:
    """One user fills the first two row groups, so that one split has two shards without rows."""
    world = World(seed=7)
    made = simulator.impressions_table(world, simulator.simulate(world, datetime.date(2026, 1, 5), rows=rows))
    skewed = 2 * -(-rows // GROUPS)
    users = ["u1"] * skewed + made["user_id"].to_pylist()[skewed:]
    return made.set_column(made.column_names.index("user_id"), "user_id", [users])


def _taxi(folder: Path, rows: int) -> Any:
    """By the contract, because the days are in a CSV file."""
    outputs = {"rows": RawDay(), "quarantine": Quarantine(), "report": GateReport(), "docs": DataDocs()}
    for name, artifact in outputs.items():
        artifact.uri = str(folder / "contract" / name)
        Path(artifact.uri).mkdir(parents=True)
    asked = {"day": "2014-06-01", "rows_limit": 0, "force": 0}
    data = load_spec("taxi").data.model_dump_json()
    ContractExecutor().Do(
        {}, {name: [artifact] for name, artifact in outputs.items()}, {"pipeline": "taxi", "data": data, **asked}
    )
    return pq.read_table(folder / "contract" / "rows").slice(0, rows)


def run_stage(stage: str, pipeline: str, raw: Path, folder: Path, context: Any, features: str) -> None:
    day, examples, schema = RawDay(), standard_artifacts.Examples(), standard_artifacts.Schema()
    day.uri, examples.uri, schema.uri = str(raw / "rows"), str(folder / "examples"), str(pipeline_folder(pipeline))
    day.span = SPAN
    data = load_spec(pipeline).data
    if stage != "examples":
        records.describe(examples, split_names=list(data.splits), span=SPAN)
    works: dict[str, Callable[[], None]] = {
        "examples": lambda: ExamplesExecutor(context).Do(
            {"rows": [day]}, {"examples": [examples]}, {"data": data.model_dump_json()}
        ),
        "statistics": lambda: statistics_executor.StatisticsExecutor(context).Do(
            {"examples": [examples]}, {"statistics": [_made(standard_artifacts.ExampleStatistics, folder, stage)]}, {}
        ),
        "transform": lambda: TransformExecutor(context).Do(
            {"examples": [examples], "schema": [schema]},
            {
                "transform_graph": [_made(standard_artifacts.TransformGraph, folder, "graph")],
                "transformed_examples": [_made(standard_artifacts.Examples, folder, stage)],
            },
            {"preprocessing_fn": features or f"pipelines.{pipeline}.features.preprocessing_fn"},
        ),
    }
    shutil.rmtree(folder / stage, ignore_errors=True)
    works[stage]()


def _made(kind: Any, folder: Path, name: str) -> Any:
    artifact = kind()
    artifact.uri = str(folder / name)
    return artifact


if __name__ == "__main__":
    sys.exit(main())
