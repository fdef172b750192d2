"""What each type of output artifact shows in its node's run.

    publish("statistics", reference, tracker)

A type without an entry here leaves its address only (tag `daybreak.output.<key>`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

from components.decision.rendering import render_gate
from components.decision.report import GateReport
from components.tracking.pages.anomalies import anomalies_page
from components.tracking.pages.statistics import read_statistics, statistics_page
from components.tracking.tracker import Tracker
from pipelines.artifact_store import local_path
from pipelines.outcome import ArtifactRef

_log = logging.getLogger(__name__)

Publisher = Callable[[str, ArtifactRef, Tracker], None]


def publish(key: str, artifact: ArtifactRef, tracker: Tracker) -> None:
    """Logs what a reader wants to see of one output; a page that cannot be made never fails the node."""
    tracker.log_tags({f"daybreak.output.{key}": artifact.uri})
    publisher = _PUBLISHERS.get(artifact.type)
    if publisher is None:
        return
    try:
        folder = local_path(artifact.uri)
        if folder.is_dir():
            publisher(key, artifact.model_copy(update={"uri": str(folder)}), tracker)
    except Exception as error:  # noqa: BLE001 - a page is never worth a node
        _log.warning("no page for the %s at %s", artifact.type, artifact.uri, exc_info=True)
        tracker.log_tags({f"daybreak.page_error.{key}": f"{type(error).__name__}: {error}"})


def _statistics(key: str, artifact: ArtifactRef, tracker: Tracker) -> None:
    splits = read_statistics(Path(artifact.uri))
    tracker.log_text(statistics_page(splits), f"{key}/{key}.html")
    tracker.log_metrics({f"{key}/{split}_rows": float(found.num_examples) for split, found in splits.items()})


def _anomalies(key: str, artifact: ArtifactRef, tracker: Tracker) -> None:
    page, count = anomalies_page(Path(artifact.uri))
    tracker.log_text(page, f"{key}/{key}.md")
    tracker.log_metrics({f"{key}/count": float(count)})


def _schema(key: str, artifact: ArtifactRef, tracker: Tracker) -> None:
    for path in Path(artifact.uri).glob("*.pbtxt"):
        tracker.log_text(path.read_text(), f"{key}/{path.stem}.txt")


def _gate(key: str, artifact: ArtifactRef, tracker: Tracker) -> None:
    report = GateReport.read(Path(artifact.uri))
    tracker.log_artifact(Path(artifact.uri) / "report.json", key)
    tracker.log_text(render_gate(report), f"{key}/report.md")
    tracker.log_tags({"daybreak.verdict": report.verdict.value, "daybreak.reason": report.reason})
    observed = {check.name: check.observed for check in report.checks if check.slice == "overall"}
    tracker.log_metrics({f"gate/{name}": value for name, value in observed.items() if isinstance(value, int | float)})


def _folder(key: str, artifact: ArtifactRef, tracker: Tracker) -> None:
    tracker.log_artifact(artifact.uri, key)


def _evaluation(key: str, artifact: ArtifactRef, tracker: Tracker) -> None:
    readable = Path(artifact.uri) / "readable"
    if readable.is_dir():
        tracker.log_artifact(readable, key)
    table = readable / "slices.json"
    if table.exists():
        content = json.loads(table.read_text())
        tracker.log_table([dict(zip(content["columns"], row, strict=True)) for row in content["data"]], f"{key}.json")


def _compression(key: str, artifact: ArtifactRef, tracker: Tracker) -> None:
    tracker.log_artifact(artifact.uri, key)
    for path in sorted(Path(artifact.uri).glob("*.json")):
        content = json.loads(path.read_text())
        rows = [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]
        tracker.log_table(rows, f"{key}_{path.stem}.json")


def _comparison(key: str, artifact: ArtifactRef, tracker: Tracker) -> None:
    folder = Path(artifact.uri)
    tracker.log_artifact(folder / "models.html")
    content = json.loads((folder / "models.json").read_text())
    tracker.log_table([dict(zip(content["columns"], row, strict=True)) for row in content["data"]], "models.json")


def _rows(key: str, artifact: ArtifactRef, tracker: Tracker) -> None:
    tracker.log_metrics({f"{key}/rows": float(artifact.properties.get("row_count", 0))})


def _json_files(key: str, artifact: ArtifactRef, tracker: Tracker) -> None:
    for path in sorted(Path(artifact.uri).glob("*.json")):
        tracker.log_artifact(path, key)


_PUBLISHERS: dict[str, Publisher] = {
    "Compression": _compression,
    "Baselines": _json_files,
    "Benefit": _json_files,
    "CostEntry": _json_files,
    "DataDocs": _folder,
    "ExampleAnomalies": _anomalies,
    "ExampleStatistics": _statistics,
    "GateReport": _gate,
    "ModelComparison": _comparison,
    "ModelEvaluation": _evaluation,
    "ModelRun": _json_files,
    "Quarantine": _rows,
    "RawDay": _rows,
    "Registration": _json_files,
    "Schema": _schema,
    "ServingMeasures": _json_files,
}
