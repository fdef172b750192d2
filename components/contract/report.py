"""What the contract observed as checks: bounds of the day, its columns, and every expectation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from components.contract.expectations import Expected
from components.contract.judging import Judged
from components.contract.rows import REPEATED
from components.decision.report import Check, GateReport, Verdict
from pipelines.errors import bounded
from pipelines.spec import Data


def contract_report(judged: Judged, data: Data, *, rows_limit: int = 0, force: bool = False) -> GateReport:
    checks = [
        *_bound_checks(judged, data, rows_limit=rows_limit),
        *_duplicates(judged),
        *([] if rows_limit else _empty_columns(judged, data)),
        *(_row_check(item) for item in judged.validation.row_level),
        *(_day_check(item) for item in judged.validation.day_level),
        *_notes(judged, data),
    ]
    refused = any(check.verdict is Verdict.REFUSED for check in checks)
    if force and refused:
        checks = [c.model_copy(update={"overridden": c.verdict is Verdict.REFUSED}) for c in checks]
    command = "look at the quarantine and Data Docs, correct the day, then run it again (or with force)"
    kept = judged.read_count - judged.quarantined_count
    return GateReport.of(
        "contract",
        checks,
        reason="" if refused and not force else f"{kept:,} of {judged.read_count:,} rows fulfil the contract",
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
    if missing := judged.missing_days:
        yield Check(
            name="days of the window without files",
            verdict=Verdict.ACCEPTED,
            observed=float(len(missing)),
            reason=f"no files for {bounded(missing)}",
        )
