"""What a decision rests on: one line for each thing that was looked at.

Check(name="crossover", observed=0.001, bound=0.005, verdict="ok")
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator

from pipelines.spec import Frozen

Verdict = Literal["ok", "waits", "hold", "harm"]
"""`harm` rolls back, `hold` holds, `waits` is too little to tell."""


def _finite(value: float | None) -> float | None:
    """JSON has nothing else, and what was stored must be what is read."""
    return value if value is not None and math.isfinite(value) else None


Number = Annotated[float | None, BeforeValidator(_finite)]


class Check(Frozen):
    name: str
    observed: Number
    """None: there was nothing to compute it from."""
    bound: float
    low: Number = None
    """Of the interval; None where the check has none, or it has no such end."""
    high: Number = None
    verdict: Verdict = "ok"
    kpi: str | None = None
