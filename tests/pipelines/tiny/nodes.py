"""The nodes. `behave` is a runtime parameter, so that one compiled pipeline can be made to fail in every way.

Without `from __future__ import annotations`: TFX reads the annotations themselves.
"""

import errno
import os
import signal
import time
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import ExampleStatistics, Schema

from components.artifacts import GateReport
from pipelines.errors import DataError

VERSION = "one"


@component
def Gate(report: OutputArtifact[GateReport], behave: Parameter[str]) -> None:
    from components.decision import report as reports

    verdict = reports.Verdict.REFUSED if behave == "refuse" else reports.Verdict.ACCEPTED
    check = reports.Check(name="rows", verdict=verdict, reason="only 3 rows")
    reports.GateReport.of("contract", [check], next_command="daybreak run --force").write(Path(report.uri))
    report.set_string_custom_property("version", VERSION)


@component
def Count(
    gate: InputArtifact[GateReport],
    schema: InputArtifact[Schema],
    rows: OutputArtifact[ExampleStatistics],
    day: Parameter[str],
    rows_limit: Parameter[int],
    behave: Parameter[str],
) -> None:
    del gate, schema
    print(f"counting {day} up to {rows_limit}, version {VERSION}", flush=True)
    (Path(rows.uri) / "half").write_text("unfinished")
    _behave(behave)
    (Path(rows.uri) / "rows.txt").write_text(f"{day} {rows_limit} {VERSION}")
    (Path(rows.uri) / "half").unlink()


@component
def Twice(rows: InputArtifact[ExampleStatistics], double: OutputArtifact[ExampleStatistics]) -> None:
    text = (Path(rows.uri) / "rows.txt").read_text()
    (Path(double.uri) / "rows.txt").write_text(text * 2)


def _behave(how: str) -> None:
    if how == "raise":
        raise KeyError("no such column")
    if how == "data":
        raise DataError("the day is missing", fix="wait for it")
    if how == "full":
        raise OSError(errno.ENOSPC, "No space left on device")
    if how == "down":
        raise ConnectionRefusedError("mlflow is not there")
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "exit":
        raise SystemExit(0)
    if how.startswith("wait:"):
        Path(how.removeprefix("wait:")).write_text(str(os.getpid()))
        time.sleep(60)
    if how.startswith("slow:"):
        time.sleep(float(how.removeprefix("slow:")))
