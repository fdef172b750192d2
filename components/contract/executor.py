"""Reads, judges and writes the day."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact, artifact_utils

from components.contract.docs import write_docs
from components.contract.expectations import load_expectations, validate
from components.contract.reading import read_raw
from components.contract.report import Judged, contract_report
from components.contract.rows import find_bad_rows, require_values
from components.contract.source import files_by_day, parse_day
from components.contract.timing import rows_of_window
from components.contract.writing import write_quarantine, write_rows
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
        rows_limit = int(exec_properties["rows_limit"])
        judged = judge(data, day, pipeline=pipeline, rows_limit=rows_limit)
        report = contract_report(judged, data, rows_limit=rows_limit, force=bool(exec_properties["force"]))
        outputs = {name: artifact_utils.get_single_instance(artifacts) for name, artifacts in output_dict.items()}
        _publish(judged, report, outputs, day=day, title=f"{pipeline} {day}: data contract")
        _summarise(judged, report)


def judge(data: Data, day: datetime.date, *, pipeline: str, rows_limit: int = 0) -> Judged:
    """Reads the rows of the day's window and finds what is wrong with them."""
    expectations = load_expectations(pipeline)  # before the data: a mistake in it costs nothing then
    files = files_by_day(data.source, day, Settings.from_environment())
    raw = read_raw([path for paths in files.values() for path in paths], data)
    inside, unreadable = rows_of_window(raw, data.source, day)
    selected = np.flatnonzero(inside)[: rows_limit or None]
    raw = raw.take(selected)
    require_values(raw, data, place=str(day))
    reasons = find_bad_rows(raw, data)
    reasons.add(f"{data.source.time_column}: not a time in {data.source.time_format}", unreadable[selected])
    sound = np.flatnonzero(~reasons.quarantined)
    validation = validate(raw.table.take(sound), expectations)
    for item in validation.row_level:
        mask = np.zeros(reasons.count, bool)
        mask[sound[item.rows]] = True
        reasons.add(item.name, mask)
    return Judged(raw, reasons, validation, missing_days=[one for one, paths in files.items() if not paths])


def _publish(
    judged: Judged, report: GateReport, outputs: dict[str, Artifact], *, day: datetime.date, title: str
) -> None:
    rows, quarantine = outputs["rows"], outputs["quarantine"]
    good = np.flatnonzero(~judged.reasons.quarantined)
    write_rows(judged.raw, good, Path(rows.uri))
    rows.row_count = len(good)
    quarantine.row_count = write_quarantine(judged.raw, judged.reasons, Path(quarantine.uri))
    rows.span = quarantine.span = (day - EPOCH).days
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
