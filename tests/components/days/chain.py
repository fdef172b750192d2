"""The data half of a retrain with a window, by the real executors, and what of it was really done.

found = run(folder / "out", raw=folder / "raw", day="2026-01-05")
found.contents["statistics/Split-train/FeatureStats.pb"], found.work["judged"]
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from components.contract import reading, window
from components.examples import row_groups as examples_row_groups
from components.examples.executor import ExamplesExecutor
from components.statistics import executor as statistics_executor
from components.statistics.executor import StatisticsExecutor
from components.transform import measures
from components.transform.executor import TransformExecutor
from pipelines.spec import Data
from tests.components.contract.running import Result, data, rows, write_parquet
from tests.components.contract.running import run as run_contract
from tests.components.days.features import PATH, SCHEMA
from tests.components.examples.making import contents

RUNNER = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", "--direct_running_mode=in_memory"]
ROWS, GROUP_ROWS = 90, 30
DAYS = [f"2026-01-0{number}" for number in range(1, 6)]
GROUPS = ROWS // GROUP_ROWS
"""Row groups of a day."""


def write_day(raw: Path, day: str, *, seed: int | None = None) -> None:
    """Prices of no round sum: an order of adding up that changes shows in the last bits."""
    made, numbers = rows(ROWS), random.Random(seed if seed is not None else day)
    made["price"] = [numbers.uniform(1, 50) for _ in range(ROWS)]
    made["user"] = [f"u{numbers.randrange(40)}" for _ in range(ROWS)]
    write_parquet(raw, made, day=day)


def spec(raw: Path, *, window_days: int = 3) -> dict[str, Any]:
    return data(raw, source={"window_days": window_days})


@dataclass(frozen=True)
class Found:
    contract: Result
    contents: dict[str, bytes]
    """Of examples, statistics and transformed records, by path; of the contract its rows and quarantine."""
    work: Counter[str]
    """Days `judged`; row groups `split`, read for `statistics` and in the phases of analysis (`analyzed`)."""


class Counting:
    """Counts the calls behind the work, by wrapping what the executors call."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.work: Counter[str] = Counter()
        patch.setattr(reading, "BATCH_ROWS", GROUP_ROWS)
        for name, module, function in (
            ("judged", window, "judge_into"),
            ("split", examples_row_groups, "split_rows"),
            ("statistics", statistics_executor, "read"),
            ("analyzed", measures, "read"),
        ):
            patch.setattr(module, function, self._counted(name, getattr(module, function)))

    def _counted(self, name: str, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self.work[name] += 1
            return function(*arguments, **options)

        return call


def run(folder: Path, declared: dict[str, Any], *, day: str = DAYS[-1], patch: pytest.MonkeyPatch) -> Found:
    with patch.context() as inner:
        counting = Counting(inner)
        contract = run_contract(folder, declared, day=day)
        examples, statistics, schema = (
            _at(kind(), folder / name)
            for kind, name in (
                (standard_artifacts.Examples, "examples"),
                (standard_artifacts.ExampleStatistics, "statistics"),
                (standard_artifacts.Schema, "schema"),
            )
        )
        graph = _at(standard_artifacts.TransformGraph(), folder / "graph")
        transformed = _at(standard_artifacts.Examples(), folder / "transformed")
        (folder / "schema").mkdir()
        (folder / "schema" / "schema.pbtxt").write_text(SCHEMA)
        context = BaseBeamExecutor.Context(beam_pipeline_args=RUNNER)
        properties = {"data": Data.model_validate(declared).model_dump_json()}
        sample = (
            {"sample": [_at(standard_artifacts.Examples(), folder / "sample")]} if declared.get("downsample") else {}
        )
        outputs = {"examples": [examples], **sample}
        ExamplesExecutor(context).Do({"rows": [contract.outputs["rows"]]}, outputs, properties)
        StatisticsExecutor(context).Do({"examples": [examples]}, {"statistics": [statistics]}, {})
        TransformExecutor(context).Do(
            {"examples": [examples], "schema": [schema], **sample},
            {"transform_graph": [graph], "transformed_examples": [transformed]},
            {"preprocessing_fn": PATH, **({"weight": "example_weight"} if sample else {})},
        )
    # A SavedModel holds its date of making.
    compared = (
        "rows/",
        "quarantine/",
        "examples/",
        "sample/",
        "statistics/",
        "transformed/",
        "graph/transform_fn/assets/",
    )
    every = contents(str(folder))
    return Found(contract, {name: of for name, of in every.items() if name.startswith(compared)}, counting.work)


def _at(artifact: Any, folder: Path) -> Any:
    artifact.uri = str(folder)
    return artifact
