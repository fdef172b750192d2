"""The relative change of a KPI that the `business` gate estimated."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

from components.decision.report import GateReport, Verdict
from components.inference.net_benefit import Estimate
from pipelines.errors import DataError

ESTIMATES_FILE = "estimates.json"
_ESTIMATOR = "relative delta"


class Change(NamedTuple):
    lift: Estimate | None
    reason: str = ""
    """Why there is none."""


def read_change(kpi: str, report: GateReport, readable: Path) -> Change:
    """Raises `DataError` when the gate was not told of this KPI, or wrote something else."""
    checks = [check for check in report.checks if check.name == f"{kpi} change"]
    if not checks:
        raise DataError(
            f"`worth.kpi` must be one that the gate `business` judges. Received: {kpi}",
            fix="declare it in `kpis`, or correct `worth.kpi`",
        )
    if checks[0].interval is None or checks[0].verdict is Verdict.NOT_EVALUABLE:
        return Change(None, f"{kpi} was not estimated: {checks[0].reason}")
    found = _read_estimates(readable / ESTIMATES_FILE, kpi)
    if not all(map(math.isfinite, found)):
        return Change(None, f"the relative change of {kpi} is not defined")
    return Change(found)


def _read_estimates(path: Path, kpi: str) -> Estimate:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))[kpi]["estimates"]
        [row] = [row for row in rows if row["estimator"] == _ESTIMATOR]
        return Estimate(*(math.nan if row[name] is None else float(row[name]) for name in ("value", "low", "high")))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"{ESTIMATES_FILE} of the gate `business` must hold the {_ESTIMATOR} of {kpi}. "
            f"Received: {type(error).__name__}: {error}",
            fix="run the day again with --skip-cache",
            place=str(path),
        ) from error
