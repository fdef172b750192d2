from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.artifact import Artifact

from components.anomalies.executor import AnomaliesExecutor
from components.artifacts import GateReport as GateReportArtifact
from components.decision.report import GateReport, Verdict

DRIFT = '{"l_infinity": {"category": 0.2}, "jensen_shannon": {"price": 0.1}}'


def day(*, category: str = "a", price: float = 1.0, rows: int = 400) -> pd.DataFrame:
    """Half the rows are of `category`, prices are spread around `price`."""
    return pd.DataFrame(
        {
            "category": [category if row % 2 else "b" for row in range(rows)],
            "price": [price + (row % 40) / 40 for row in range(rows)],
        }
    )


@pytest.fixture(scope="module")
def schema() -> schema_pb2.Schema:
    schema = tfdv.infer_schema(tfdv.generate_statistics_from_dataframe(day()))
    tfdv.get_domain(schema, "category").value.append("c")
    return schema


def statistics(folder: Path, frame: pd.DataFrame, *splits: str) -> Artifact:
    artifact = standard_artifacts.ExampleStatistics()
    artifact.uri = str(folder)
    artifact.split_names = artifact_utils.encode_split_names(list(splits))
    for split in splits:
        path = folder / f"Split-{split}" / "FeatureStats.pb"
        path.parent.mkdir(parents=True)
        path.write_bytes(tfdv.generate_statistics_from_dataframe(frame).SerializeToString())
    return artifact


def run(
    folder: Path,
    schema: schema_pb2.Schema,
    frame: pd.DataFrame,
    *,
    champion: pd.DataFrame | None = None,
) -> tuple[GateReport, Artifact]:
    """Runs the executor on `frame`; returns its report and its anomalies artifact."""
    schema_artifact = standard_artifacts.Schema()
    schema_artifact.uri = str(folder / "schema")
    (folder / "schema").mkdir()
    tfdv.write_schema_text(schema, str(folder / "schema" / "schema.pbtxt"))
    if champion is None:
        before = standard_artifacts.ExampleStatistics()
        before.set_string_custom_property("absent", "yes")
    else:
        before = statistics(folder / "champion", champion, "train")
    outputs: dict[str, list[Any]] = {
        "anomalies": [standard_artifacts.ExampleAnomalies()],
        "report": [GateReportArtifact()],
    }
    for name, artifacts in outputs.items():
        artifacts[0].uri = str(folder / "out" / name)
        Path(artifacts[0].uri).mkdir(parents=True)
    AnomaliesExecutor().Do(
        {
            "statistics": [statistics(folder / "today", frame, "train", "eval")],
            "schema": [schema_artifact],
            "champion_statistics": [before],
        },
        outputs,
        {"drift": DRIFT},
    )
    return GateReport.read(folder / "out" / "report"), outputs["anomalies"][0]


def test_a_day_like_the_schema_is_accepted(tmp_path: Path, schema: schema_pb2.Schema) -> None:
    report, artifact = run(tmp_path, schema, day())
    assert report.verdict is Verdict.ACCEPTED
    assert any("nothing to drift from" in check.reason for check in report.checks)
    found = anomalies_pb2.Anomalies.FromString((Path(artifact.uri) / "Split-eval" / "SchemaDiff.pb").read_bytes())
    assert not found.anomaly_info


def test_an_unknown_value_refuses_and_names_the_column(tmp_path: Path, schema: schema_pb2.Schema) -> None:
    report, _ = run(tmp_path, schema, day(category="new"))
    assert report.verdict is Verdict.REFUSED
    assert "category" in report.reason
    assert {check.slice for check in report.checks if check.verdict is Verdict.REFUSED} == {"split train", "split eval"}


def test_drift_from_the_champions_day_refuses_with_distance_and_bound(
    tmp_path: Path, schema: schema_pb2.Schema
) -> None:
    report, _ = run(tmp_path, schema, day(category="c"), champion=day())
    refused = [check for check in report.checks if check.verdict is Verdict.REFUSED]
    assert [check.name for check in refused] == ["drift: category"]
    assert refused[0].observed == pytest.approx(0.5)
    assert refused[0].bound == "<= 0.2"


def test_numeric_drift_is_measured(tmp_path: Path, schema: schema_pb2.Schema) -> None:
    report, _ = run(tmp_path, schema, day(price=1.6), champion=day())
    refused = [check for check in report.checks if check.verdict is Verdict.REFUSED]
    assert [check.name for check in refused] == ["drift: price"]


def test_the_same_day_does_not_drift(tmp_path: Path, schema: schema_pb2.Schema) -> None:
    report, _ = run(tmp_path, schema, day(), champion=day())
    assert report.verdict is Verdict.ACCEPTED
    assert {check.name: check.observed for check in report.checks if check.name.startswith("drift")} == {
        "drift: category": 0.0,
        "drift: price": pytest.approx(0.0, abs=1e-6),
    }


def test_a_missing_column_refuses(tmp_path: Path, schema: schema_pb2.Schema) -> None:
    report, _ = run(tmp_path, schema, day().drop(columns="price"))
    assert report.verdict is Verdict.REFUSED
    assert "price" in report.reason
