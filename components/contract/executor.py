"""Reads, judges and writes the day."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact, artifact_utils

from components.contract.docs import write_docs
from components.contract.expectations import load_expectations
from components.contract.formats import raw_day
from components.contract.judging import Judged, judge_into
from components.contract.report import contract_report
from components.contract.source import is_window, parse_day
from components.contract.window import judge_window
from components.contract.writing import QUARANTINE_FILE, ROWS_FILE
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
        settings = Settings.from_environment()
        rows, quarantine = (Path(outputs[name].uri) for name in ("rows", "quarantine"))
        earlier = None
        if is_window(data.source):
            judged, earlier = judge_window(
                pipeline, data, day, expectations, rows, quarantine, rows_limit=rows_limit, force=force
            )
        else:
            raw = raw_day(data, day, settings)
            judged = judge_into(
                rows / ROWS_FILE,
                quarantine / QUARANTINE_FILE,
                raw,
                data,
                day,
                expectations,
                rows_limit=rows_limit,
            )
        report = contract_report(judged, data, rows_limit=rows_limit, earlier=earlier)
        for name, folder in (("rows", rows), ("quarantine", quarantine)):
            outputs[name].span = (day - EPOCH).days
            outputs[name].row_count = sum(pq.read_metadata(path).num_rows for path in folder.glob("*.parquet"))
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
