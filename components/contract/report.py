"""What the contract observed as checks: bounds of the day, its columns, and every expectation."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from components.contract.expectations import Expected
from components.contract.judging import Judged
from components.contract.rows import REPEATED
from components.decision.report import Check, GateReport, Verdict
from pipelines.errors import bounded
from pipelines.spec import Data


@dataclass
class Earlier:
    """The days of the window before the data day."""

    kept: dict[datetime.date, int] = field(default_factory=dict)
    """Rows that fulfil the contract."""
    missing: list[datetime.date] = field(default_factory=list)
    """Without files, or without rows."""
    left_out: dict[datetime.date, str] = field(default_factory=dict)
    """Refused, with the reason."""


def contract_report(judged: Judged, data: Data, *, rows_limit: int = 0, earlier: Earlier | None = None) -> GateReport:
    """The verdict is on the data day."""
    checks = [
        *_bound_checks(judged, data, rows_limit=rows_limit),
        *_duplicates(judged),
        *([] if rows_limit else _empty_columns(judged, data)),
        *(_row_check(item) for item in judged.validation.row_level),
        *(_day_check(item) for item in judged.validation.day_level),
        *_notes(judged, data),
        *(_window(earlier) if earlier else []),
    ]
    refused = any(check.verdict is Verdict.REFUSED for check in checks)
    command = "look at the quarantine and Data Docs, correct the day, then run it again (or with --force --reason TEXT)"
    kept = judged.read_count - judged.quarantined_count
    return GateReport.of(
        "contract",
        checks,
        reason="" if refused else f"{kept:,} of {judged.read_count:,} rows fulfil the contract",
        next_command=command if refused else "",
    )


def _bound_checks(judged: Judged, data: Data, *, rows_limit: int) -> Iterator[Check]:
    needed = 1 if rows_limit else data.min_rows  # a run on a few rows is small on purpose
    kept = judged.read_count - judged.quarantined_count
    yield Check(
        name="rows",
        verdict=Verdict.ACCEPTED if kept >= needed else Verdict.REFUSED,
        observed=float(kept),
        bound=f">= {needed:,}",
        reason=f"{kept:,} rows fulfil the contract, {needed:,} are needed",
    )
    share = judged.quarantined_count / max(judged.read_count, 1)
    why = bounded(f"{name} ({count:,})" for name, count in judged.reason_counts().items())
    yield Check(
        name="quarantined share",
        verdict=Verdict.ACCEPTED if share <= data.max_quarantined else Verdict.REFUSED,
        observed=round(share, 6),
        bound=f"<= {data.max_quarantined:g}",
        reason=f"{judged.quarantined_count:,} of {judged.read_count:,} rows go to quarantine"
        + (f": {why}" if why else ""),
    )


def _duplicates(judged: Judged) -> Iterator[Check]:
    count = judged.tally.reasons[REPEATED]
    yield Check(name="duplicates", verdict=Verdict.ACCEPTED, observed=float(count), bound="rows to quarantine")


def _empty_columns(judged: Judged, data: Data) -> Iterator[Check]:
    for name in data.columns:
        if judged.tally.nulls[name] == judged.tally.rows:
            yield Check(
                name=f"{name} has values",
                verdict=Verdict.REFUSED,
                observed="all null",
                reason=f"column {name!r} is null in every row",
            )


def _row_check(item: Expected) -> Check:
    """Answered by the quarantine and its bound."""
    reason = "" if item.success else f"{item.name}: {item.observed}"
    return Check(
        name=item.name, verdict=Verdict.ACCEPTED, observed=item.observed, bound="rows to quarantine", reason=reason
    )


def _day_check(item: Expected) -> Check:
    observed = f"{item.observed:g}" if isinstance(item.observed, float) else item.observed
    return Check(
        name=item.name,
        verdict=Verdict.ACCEPTED if item.success or not item.critical else Verdict.REFUSED,
        observed=item.observed if not isinstance(item.observed, float) or np.isfinite(item.observed) else str(observed),
        bound="the day" if item.critical else "a warning",
        reason="" if item.success else f"the day breaks: {item.name}; observed {observed}",
    )


def _notes(judged: Judged, data: Data) -> Iterator[Check]:
    if extra := judged.extra_columns:
        yield Check(
            name="columns not declared",
            verdict=Verdict.ACCEPTED,
            observed=float(len(extra)),
            bound="dropped",
            reason=f"dropped: {bounded(extra)}",
        )
    if scanned := judged.scanned_bytes:
        yield Check(
            name="bytes that the query reads",
            verdict=Verdict.ACCEPTED,
            observed=float(scanned),
            bound=f"<= {data.source.max_bytes_billed:,} a day",
            reason=f"the query reads {scanned:,} bytes",
        )


def _window(earlier: Earlier) -> Iterator[Check]:
    yield Check(
        name="earlier days of the window",
        verdict=Verdict.ACCEPTED,
        observed=float(len(earlier.kept)),
        reason=f"{sum(earlier.kept.values()):,} rows of {len(earlier.kept)} earlier days",
    )
    if missing := earlier.missing:
        yield Check(
            name="days of the window without files",
            verdict=Verdict.ACCEPTED,
            observed=float(len(missing)),
            reason=f"no files for {bounded(missing)}",
        )
    if left_out := earlier.left_out:
        why = bounded(f"{day} ({reason})" for day, reason in left_out.items())
        yield Check(
            name="days of the window left out",
            verdict=Verdict.ACCEPTED,
            observed=float(len(left_out)),
            bound="their own contract",
            reason=f"refused, so their rows are not used: {why}",
        )
