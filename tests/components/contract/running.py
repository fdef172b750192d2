"""Real runs of the contract's executor over days that tests write."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from tfx.types.artifact import Artifact

from components.artifacts import DataDocs, Quarantine, RawDay
from components.artifacts import GateReport as GateReportArtifact
from components.contract.executor import ContractExecutor
from components.decision.report import Check, GateReport, Verdict

DAY = "2026-01-05"
PIPELINE = "contract_shop"
"""Its expectations are written by the fixture of the same name."""

COLUMNS = {"user": "string", "item": "int", "price": "float", "new": "bool", "query": "string", "clicked": "int"}
EXPECTATIONS = """
from great_expectations import expectations as gxe

def expectations():
    return [
        gxe.ExpectColumnValuesToBeBetween(column="price", min_value=0, max_value=1000),
        gxe.ExpectColumnMeanToBeBetween(column="price", min_value=1, max_value=100),
    ]
"""


def data(folder: Path, **changes: Any) -> dict[str, Any]:
    """`Spec.data` of a small Parquet source partitioned by day; `source` is merged, everything else replaced."""
    source = {"format": "parquet", "path": f"{folder}/day={{day}}/*.parquet"} | changes.pop("source", {})
    return {
        "source": source,
        "columns": COLUMNS,
        "required": ["user", "price"],
        "label": "clicked",
        "split_key": "user",
        "max_quarantined": 0.1,
        "min_rows": 10,
    } | changes


def csv_data(path: Path, **changes: Any) -> dict[str, Any]:
    return data(path.parent, source={"format": "csv", "path": f"{path.parent}/{{day}}.csv"}, **changes)


def rows(count: int = 100) -> dict[str, list[Any]]:
    """Columns of a sound day; all rows differ."""
    return {
        "user": [f"u{row % 17}" for row in range(count)],
        "item": list(range(count)),
        "price": [10.0 + row % 7 for row in range(count)],
        "new": [row % 2 == 0 for row in range(count)],
        "query": [None if row % 3 else f"red shoes {row}" for row in range(count)],
        "clicked": [int(row % 5 == 0) for row in range(count)],
    }


def changed(column: str, values: dict[int, Any], *, count: int = 100) -> dict[str, list[Any]]:
    """A sound day in which some rows of one column have other values."""
    made = rows(count)
    for row, value in values.items():
        made[column][row] = value
    return made


def write_parquet(
    folder: Path, columns: dict[str, list[Any]] | pa.Table, *, day: str = DAY, name: str = "a.parquet"
) -> Path:
    path = folder / f"day={day}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path)
    return path


def write_csv(path: Path, columns: dict[str, list[Any]]) -> Path:
    pyarrow.csv.write_csv(pa.table(columns), path)
    return path


@dataclass(frozen=True)
class Result:
    report: GateReport
    outputs: dict[str, Artifact]

    @property
    def rows(self) -> pa.Table:
        """Of all days."""
        return pa.concat_tables(map(pq.read_table, sorted(Path(self.outputs["rows"].uri).glob("*.parquet"))))

    @property
    def rows_file(self) -> Path:
        return Path(self.outputs["rows"].uri) / "rows-00000-of-00001.parquet"

    @property
    def quarantine(self) -> list[dict[str, str | None]]:
        rows: list[dict[str, str | None]] = pq.read_table(self.quarantine_file).to_pylist()
        return rows

    @property
    def quarantine_file(self) -> Path:
        return Path(self.outputs["quarantine"].uri) / "quarantine.parquet"

    @property
    def reasons(self) -> list[str]:
        return [str(row["_reasons"]) for row in self.quarantine]

    @property
    def docs(self) -> Path:
        return Path(self.outputs["docs"].uri)

    def check(self, name: str) -> Check:
        return next(check for check in self.report.checks if check.name == name)

    @property
    def refusals(self) -> list[str]:
        return [check.name for check in self.report.checks if check.verdict is Verdict.REFUSED]


def run(
    folder: Path, spec: dict[str, Any], *, day: str = DAY, rows_limit: int = 0, force: int = 0, pipeline: str = PIPELINE
) -> Result:
    """Runs the executor; outputs lie in `folder`."""
    outputs: dict[str, list[Artifact]] = {
        "rows": [RawDay()],
        "quarantine": [Quarantine()],
        "report": [GateReportArtifact()],
        "docs": [DataDocs()],
    }
    for name, artifacts in outputs.items():
        artifacts[0].uri = str(folder / name)
        Path(artifacts[0].uri).mkdir(parents=True)
    properties = {
        "pipeline": pipeline,
        "data": json.dumps(spec),
        "day": day,
        "rows_limit": rows_limit,
        "force": force,
    }
    ContractExecutor().Do({}, outputs, properties)
    report = GateReport.read(Path(outputs["report"][0].uri))
    assert outputs["report"][0].verdict == report.verdict
    return Result(report, {name: artifacts[0] for name, artifacts in outputs.items()})
