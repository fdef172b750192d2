"""Reads, judges and writes the day."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact, artifact_utils

from components.contract.docs import write_docs
from components.contract.expectations import load_expectations
from components.contract.formats import open_day
from components.contract.judging import Judged, judge
from components.contract.reading import RawDay, batch_rows, empty_rows
from components.contract.report import contract_report
from components.contract.source import parse_day
from components.contract.writing import QUARANTINE_FILE, ROWS_FILE, TableFile, quarantine_schema
from components.decision.report import GateReport
from pipelines.errors import EXAMPLES_SHOWN
from pipelines.settings import Settings
from pipelines.spec import Data

EPOCH = datetime.date(1970, 1, 1)


class ContractExecutor(BaseExecutor):  # type: ignore[misc]
    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Publishes all outputs also when the day is refused: the verdict stands in `report`.

        Raises:
            DataError: the day is missing, unreadable, or not of the declared columns.
            UserCodeError: the expectations cannot be loaded or computed.
        """
        del input_dict
        data = Data.model_validate_json(exec_properties["data"])
        day, pipeline = parse_day(exec_properties["day"]), exec_properties["pipeline"]
        rows_limit, force = int(exec_properties["rows_limit"]), bool(exec_properties["force"])
        outputs = {name: artifact_utils.get_single_instance(artifacts) for name, artifacts in output_dict.items()}
        expectations = load_expectations(pipeline)  # before the data: a mistake in it costs nothing then
        files = open_day(data, day, Settings.from_environment())
        raw = RawDay([file for opened in files.values() for file in opened], data)
        rows_path, quarantine_path = Path(outputs["rows"].uri) / ROWS_FILE, Path(outputs["quarantine"].uri)
        with (
            TableFile(rows_path, empty_rows(data).schema, row_group_rows=batch_rows(data)) as rows_file,
            TableFile(quarantine_path / QUARANTINE_FILE, quarantine_schema(raw.identity.names)) as quarantine_file,
        ):
            judged = judge(
                raw,
                data,
                day,
                expectations,
                rows_limit=rows_limit,
                rows_file=rows_file,
                quarantine_file=quarantine_file,
                missing_days=[one for one, opened in files.items() if not opened],
            )
            report = contract_report(judged, data, rows_limit=rows_limit, force=force)
            rows_file.publish()
            quarantine_file.publish()
        for name, file in (("rows", rows_file), ("quarantine", quarantine_file)):
            outputs[name].row_count, outputs[name].span = file.row_count, (day - EPOCH).days
        _publish_report(judged, report, outputs, title=f"{pipeline} {day}: data contract")
        _summarise(judged, report)


def _publish_report(judged: Judged, report: GateReport, outputs: dict[str, Artifact], *, title: str) -> None:
    write_docs(Path(outputs["docs"].uri), title=title, report=report, results=judged.validation.results)
    report.write(Path(outputs["report"].uri))
    outputs["report"].verdict = str(report.verdict)


def _summarise(judged: Judged, report: GateReport) -> None:
    print(f"{judged.read_count:,} rows read, {judged.quarantined_count:,} to quarantine")
    counts = judged.reason_counts()
    for reason, count in list(counts.items())[:EXAMPLES_SHOWN]:
        print(f"  {count:,}  {reason}")
    if len(counts) > EXAMPLES_SHOWN:
        print(f"  and {len(counts) - EXAMPLES_SHOWN} more reasons, in the report")
    print(f"{report.verdict}: {report.reason}" if report.reason else str(report.verdict))
