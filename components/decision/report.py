"""What one gate observed and decided: a list of checks and the verdict they add up to.

report = GateReport.of("contract", [Check(name="rows", observed=12.0, bound=">= 100", verdict=Verdict.REFUSED, ...)])
report.write(folder)
GateReport.read(folder).verdict
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path

from pipelines.manifest import write_atomically
from pipelines.spec import Frozen

REPORT_FILE = "report.json"


class Verdict(enum.StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    INCONCLUSIVE = "inconclusive"
    NOT_EVALUABLE = "not_evaluable"


_SEVERITY = [Verdict.ACCEPTED, Verdict.NOT_EVALUABLE, Verdict.INCONCLUSIVE, Verdict.REFUSED]


class Check(Frozen):
    """One comparison of an observed value with its bound."""

    name: str
    verdict: Verdict
    observed: float | str | None = None
    bound: str = ""
    """As a human reads it: `>= 0.62`, `champion - 0.005`."""
    slice: str = "overall"
    interval: tuple[float, float] | None = None
    reason: str = ""
    """One sentence."""
    reason_code: str = ""
    """A short word that stays the same while sentences change: `below_bound`, `no_champion`."""
    overridden: bool = False
    """Refused, yet a user forced the run to go on."""


class GateReport(Frozen):
    gate: str
    """The node that decided."""
    verdict: Verdict
    checks: tuple[Check, ...] = ()
    reason: str = ""
    next_command: str = ""

    @classmethod
    def of(cls, gate: str, checks: Sequence[Check], *, reason: str = "", next_command: str = "") -> GateReport:
        """The verdict is the worst of the checks not overridden; a gate without checks is not evaluable."""
        verdicts = [check.verdict for check in checks if not check.overridden]
        worst = max(verdicts, key=_SEVERITY.index) if verdicts else Verdict.ACCEPTED
        if not checks:
            worst = Verdict.NOT_EVALUABLE
        decisive = next((c for c in checks if c.verdict is worst and not c.overridden), None)
        return cls(
            gate=gate,
            verdict=worst,
            checks=tuple(checks),
            reason=reason or (decisive.reason if decisive else ""),
            next_command=next_command,
        )

    def forced(self) -> GateReport:
        """As if nothing had been refused: those checks are marked, and the others decide."""
        if self.verdict is not Verdict.REFUSED:
            return self
        checks = [c.model_copy(update={"overridden": c.verdict is Verdict.REFUSED}) for c in self.checks]
        return GateReport.of(self.gate, checks)

    @classmethod
    def decisive(cls, reports: Sequence[GateReport]) -> GateReport:
        """The first of those with the worst verdict; the last one when all accept."""
        worst = max((report.verdict for report in reports), key=_SEVERITY.index)
        if worst is Verdict.ACCEPTED:
            return reports[-1]
        return next(report for report in reports if report.verdict is worst)

    def write(self, folder: Path) -> None:
        write_atomically(folder / REPORT_FILE, self.model_dump_json(indent=1).encode() + b"\n")

    @classmethod
    def read(cls, folder: Path) -> GateReport:
        return cls.model_validate_json((folder / REPORT_FILE).read_text(encoding="utf-8"))
