"""What a decision rests on: one line for each thing that was looked at.

Check(name="crossover", observed=0.001, bound=0.005, verdict="ok")
"""

from __future__ import annotations

from typing import Literal

from pipelines.spec import Frozen

Verdict = Literal["ok", "waits", "hold", "harm"]
"""`harm` rolls back, `hold` holds, `waits` is too little to tell."""


class Check(Frozen):
    name: str
    observed: float | None
    """None: there was nothing to compute it from."""
    bound: float
    low: float | None = None
    """Of the interval; None where the check has none, or it has no such end."""
    high: float | None = None
    verdict: Verdict = "ok"
    kpi: str | None = None
