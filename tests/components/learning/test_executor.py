"""On real artifacts: raw rows, a transform graph, transformed rows and an exported model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tfx.types import standard_artifacts

from components.artifacts import GateReport as GateReportArtifact
from components.decision.report import Check, GateReport, Verdict
from components.examples.records import row_groups, to_lists, write_shard
from components.learning.executor import LearningExecutor
from components.transform import blocks
from components.transform.graph import Graph, Saved, input_config
from pipelines.spec import Learning
from tests.components.evaluation.conftest import COLUMNS, Day, _artifact, _model, day
from tests.components.learning.test_checks import history

Run = Callable[..., GateReport]
WEIGHTS = {"good": 0.8, "poor": -0.8}

__all__ = ["day"]


@pytest.fixture
def run(day: Day, tmp_path: Path) -> Run:
    """`run(model="good", shift=0.0)`: `shift` is added to the stored `fare` of the eval split."""

    def learn(*, model: str = "good", shift: float = 0.0, learning: Learning | None = None) -> GateReport:
        _write(day, tmp_path, shift=shift)
        history(0.5, 0.4).write(tmp_path / "model_run")
        kinds = {
            "examples": standard_artifacts.Examples,
            "transformed_examples": standard_artifacts.Examples,
            "model_run": standard_artifacts.ModelRun,
        }
        inputs = {name: [_artifact(kind, tmp_path / name)] for name, kind in kinds.items()} | {
            "transform_graph": [_artifact(standard_artifacts.TransformGraph, day.transform)],
            "schema": [_artifact(standard_artifacts.Schema, day.schema_folder)],
            "model": [
                _artifact(
                    standard_artifacts.Model,
                    _model(day.transform.parent, model + "_learned", WEIGHTS[model], day.schema),
                )
            ],
        }
        outputs = {"report": [_artifact(GateReportArtifact, tmp_path / "report")]}
        spec = (learning or Learning(rows=1000, max_gap={"auc": 0.1})).model_dump_json()
        LearningExecutor().Do(inputs, outputs, {"learning": spec, "label": "tips", "unit": "hour"})
        return GateReport.read(tmp_path / "report")

    return learn


def _write(day: Day, folder: Path, *, shift: float) -> None:
    """Both splits as the examples and transform nodes write them."""
    rows = to_lists(pa.RecordBatch.from_pydict(day.rows), COLUMNS)
    graph = Graph(Saved(day.transform / "transform_fn", ("fare", "tips")), input_config(day.schema))
    columns = blocks.lay_out({"fare": ((), "float32"), "tips": ((), "int64")})
    for split, batch in {"train": rows[:2000], "eval": rows[2000:]}.items():
        write_shard(batch, folder / "examples" / f"Split-{split}", index=0, count=1)
        arrays: Mapping[str, Any] = graph(_stored(folder, split), place=split)
        fare = arrays["fare"].reshape(-1) + (shift if split == "eval" else 0)
        stored = {"fare": np.asarray(fare, "f4"), "tips": arrays["tips"].reshape(-1)}
        blocks.write_shard(stored, columns, folder / "transformed_examples" / f"Split-{split}", index=0, count=1)


def _stored(folder: Path, split: str) -> pa.RecordBatch:
    from components.examples.records import read

    return read(row_groups(folder / "examples", split)[0])


def named(report: GateReport) -> dict[str, Check]:
    return {check.name: check for check in report.checks}


def test_a_model_that_learned_is_accepted(run: Run) -> None:
    report = run()
    assert report.verdict is Verdict.ACCEPTED, report.reason
    checks = named(report)
    assert abs(float(checks["auc gap"].observed or 0)) < 0.1
    assert checks["transform skew"].observed == 0
    interval = checks["learned"].interval
    assert interval is not None and interval[0] < float(checks["learned"].observed or 0) < interval[1]


def test_a_model_worse_than_a_constant_is_refused(run: Run) -> None:
    report = run(model="poor")
    assert report.verdict is Verdict.REFUSED
    assert "the log loss is" in report.reason and "above that of a constant" in report.reason


def test_features_that_changed_on_the_way_to_training_are_refused(run: Run) -> None:
    report = run(shift=0.01)
    assert report.verdict is Verdict.REFUSED
    assert "fare" in named(report)["transform skew"].reason


def test_a_feature_that_tells_too_much_is_refused(run: Run) -> None:
    report = run(learning=Learning(rows=1000, max_single_feature=0.6))
    assert report.verdict is Verdict.REFUSED
    assert "`fare` alone reaches" in report.reason
