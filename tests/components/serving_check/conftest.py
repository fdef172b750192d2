"""The raw eval split of the training tests as an artifact, and the gate run as a node runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from google.protobuf import text_format
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact, standard_artifacts

from components.artifacts import GateReport as GateReportArtifact
from components.artifacts import ServingMeasures
from components.decision.report import GateReport
from components.examples.records import to_lists, write_shard
from components.serving_check.executor import ServingCheckExecutor
from tests.components.serving.conftest import model, transformed  # noqa: F401
from tests.components.training.conftest import COLUMNS, LABEL, Transformed


class Tried(NamedTuple):
    report: GateReport
    measures: Path
    verdict: str


Try = Callable[..., Tried]


@pytest.fixture(scope="session")
def examples(transformed: Transformed, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("raw")
    batch = to_lists(pa.RecordBatch.from_pylist(transformed.raw), COLUMNS)
    for index, part in enumerate((batch[:100], batch[100:])):
        write_shard(part, folder / "Split-eval", index=index, count=2)
    return folder


@pytest.fixture
def try_candidate(transformed: Transformed, examples: Path, tmp_path: Path) -> Try:  # noqa: F811
    """`try_candidate(path of the SavedModel, **serving)`."""
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(transformed.schema))

    def run(path: Path, *, rows: Path = examples, **serving: Any) -> Tried:
        inputs = {
            "examples": [_artifact(standard_artifacts.Examples, rows)],
            "model": [_artifact(standard_artifacts.Model, path.parent)],
            "schema": [_artifact(standard_artifacts.Schema, tmp_path / "schema")],
        }
        outputs = {
            "measures": [_artifact(ServingMeasures, tmp_path / "measures")],
            "report": [_artifact(GateReportArtifact, tmp_path / "report")],
        }
        context = BaseExecutor.Context(tmp_dir=str(tmp_path), unique_id="1")
        settings = {"serving": json.dumps({"load_secs": 0.6, "clients": 2} | serving), "label": LABEL}
        ServingCheckExecutor(context).Do(inputs, outputs, settings)
        [report] = outputs["report"]
        return Tried(GateReport.read(Path(report.uri)), tmp_path / "measures", report.verdict)

    return run


def _artifact(kind: type[Artifact], folder: Path) -> Artifact:
    artifact = kind()
    artifact.uri = str(folder)
    return artifact
