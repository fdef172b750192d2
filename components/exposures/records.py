"""Rows of the log, as a gateway hands them over: fields and order are those of `components.exposures.schema`.

Exposure(decision_id="9f…", time=now_micros(), model="shop", unit_id="u7", …, context='{"country":"de"}', candidates="[…]")
Outcome(outcome_id="c-1", decision_id="9f…", item_id="i3", name="clicked", value=1.0, time=now_micros(), received=now_micros())
"""

from __future__ import annotations

import time

from msgspec import Struct

SHADOW = "shadow"
"""Arm of a mirrored request, whose answer nobody sees."""
DECIDE, PREDICT = "decide", "predict"


# Not followed by the garbage collector: a full buffer of them would make each of its passes long.
class Exposure(Struct, array_like=True, gc=False):  # type: ignore[call-arg]
    decision_id: str
    time: int
    model: str
    unit_id: str
    rollout_id: str = ""
    arm: str = "champion"
    assigned_version: str = ""
    served_version: str = ""
    split_version: int = 0
    fallback: str = ""
    latency: float = 0.0
    kind: str = PREDICT
    policy_id: str = ""
    exploration: str = ""
    temperature: float = 0.0
    epsilon: float = 0.0
    candidate_ids: list[str] = []
    scores: list[float] = []
    propensities: list[float] = []
    floors: list[float] = []
    normalisers: list[float] = []
    context: str = "{}"
    candidates: str = "[]"


class Outcome(Struct, array_like=True, gc=False):  # type: ignore[call-arg]
    outcome_id: str
    decision_id: str
    item_id: str
    name: str
    value: float
    time: int
    received: int


Record = Exposure | Outcome


def now_micros() -> int:
    return time.time_ns() // 1000
