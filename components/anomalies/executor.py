"""Runs TFDV's validation on every split and turns what it finds into checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact, artifact_utils

from components.anomalies.checks import anomaly_checks, drift_checks
from components.decision.report import Check, GateReport, Verdict
from components.statistics.executor import STATISTICS_FILE
from pipelines.spec import Drift

ANOMALIES_FILE = "SchemaDiff.pb"
DRIFT_SPLIT = "train"
"""Drift is measured on what models learn from."""


class AnomaliesExecutor(BaseExecutor):  # type: ignore[misc]
    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `Split-<name>/SchemaDiff.pb` for every split and one gate report.

        Input statistics and schema have TFX's layouts; an absent champion skips the drift checks.
        """
        statistics = artifact_utils.get_single_instance(input_dict["statistics"])
        schema = tfdv.load_schema_text(str(_only_file(input_dict["schema"], "schema.pbtxt")))
        output = artifact_utils.get_single_instance(output_dict["anomalies"])
        drift = Drift.model_validate_json(exec_properties["drift"])
        champion = _champion_statistics(input_dict)
        splits = artifact_utils.decode_split_names(statistics.split_names)

        checks: list[Check] = []
        for split in splits:
            today = _load_statistics(Path(statistics.uri), split)
            before = champion if split == DRIFT_SPLIT else None
            found = validate(today, schema, drift=drift, champion=before)
            _write(Path(output.uri) / f"Split-{split}" / ANOMALIES_FILE, found)
            checks += anomaly_checks(found, split=split)
            if split == DRIFT_SPLIT:
                checks += drift_checks(found, drift=drift, has_champion=before is not None)
        output.split_names = artifact_utils.encode_split_names(splits)
        _publish(checks, artifact_utils.get_single_instance(output_dict["report"]))


def validate(
    today: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
    *,
    drift: Drift,
    champion: statistics_pb2.DatasetFeatureStatisticsList | None,
) -> anomalies_pb2.Anomalies:
    """TFDV's anomalies of `today`, with drift comparators when there is a champion to compare with."""
    if champion is None:
        return tfdv.validate_statistics(today, schema)
    bounded = schema_pb2.Schema()
    bounded.CopyFrom(schema)
    for feature in bounded.feature:
        if feature.name in drift.l_infinity:
            feature.drift_comparator.infinity_norm.threshold = drift.l_infinity[feature.name]
        if feature.name in drift.jensen_shannon:
            feature.drift_comparator.jensen_shannon_divergence.threshold = drift.jensen_shannon[feature.name]
    return tfdv.validate_statistics(today, bounded, previous_statistics=champion)


def _publish(checks: list[Check], artifact: Artifact) -> None:
    refused = any(check.verdict is Verdict.REFUSED for check in checks)
    report = GateReport.of(
        "anomalies",
        checks,
        next_command="correct the data or curate schema.pbtxt, then run the day again (or with --force --reason TEXT)"
        if refused
        else "",
    )
    report.write(Path(artifact.uri))
    artifact.verdict = str(report.verdict)


def _champion_statistics(input_dict: dict[str, list[Artifact]]) -> statistics_pb2.DatasetFeatureStatisticsList | None:
    artifacts = input_dict.get("champion_statistics") or []
    if not artifacts or artifacts[0].get_string_custom_property("absent") == "yes":
        return None
    return _load_statistics(Path(artifacts[0].uri), DRIFT_SPLIT)


def _load_statistics(folder: Path, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    return tfdv.load_stats_binary(str(folder / f"Split-{split}" / STATISTICS_FILE))


def _only_file(artifacts: list[Artifact], name: str) -> Path:
    return Path(artifact_utils.get_single_uri(artifacts)) / name


def _write(path: Path, message: anomalies_pb2.Anomalies) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(message.SerializeToString(deterministic=True))
