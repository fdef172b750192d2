"""TFDV anomalies as a Markdown table."""

from __future__ import annotations

from pathlib import Path

from components.tracking.notes import markdown_table


def anomalies_page(folder: Path) -> tuple[str, int]:
    """The page and the number of anomalies over all splits."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    rows: list[tuple[str, ...]] = []
    for path in sorted(folder.glob("Split-*/SchemaDiff.pb")):
        found = anomalies_pb2.Anomalies()
        found.ParseFromString(path.read_bytes())
        split = path.parent.name.removeprefix("Split-")
        for column, info in sorted(found.anomaly_info.items()):
            severity = anomalies_pb2.AnomalyInfo.Severity.Name(info.severity).lower()
            rows.append((split, column, severity, info.short_description, info.description))
        if found.HasField("dataset_anomaly_info"):
            rows.append((split, "(whole split)", "error", "", found.dataset_anomaly_info.description))
    if not rows:
        return "No anomalies: the statistics fulfil the schema.\n", 0
    header = ("split", "column", "severity", "what", "details")
    return f"# {len(rows)} anomalies\n\n{markdown_table(header, rows)}\n", len(rows)
