"""What came of a decision, as a client tells it.

outcomes = read_outcomes(body, now=now)
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from components.exposures.records import Outcome
from components.gateway.clock import LATEST

_Text = Annotated[str, Meta(min_length=1, max_length=200)]


class _Given(Struct, forbid_unknown_fields=True):  # type: ignore[call-arg]
    outcome_id: _Text
    decision_id: _Text
    name: _Text
    value: float
    item_id: Annotated[str, Meta(max_length=200)] = ""
    time: Annotated[float, Meta(ge=0, le=LATEST)] | None = None
    """Seconds since 1970; left out: now."""


class _Request(Struct, forbid_unknown_fields=True):  # type: ignore[call-arg]
    outcomes: Annotated[list[_Given], Meta(min_length=1, max_length=10_000)]


_read = msgspec.json.Decoder(_Request).decode


def read_outcomes(body: bytes, *, now: float) -> list[Outcome]:
    """Raises `msgspec.MsgspecError`, which names the field."""
    received = micros(now)
    return [
        Outcome(
            outcome_id=given.outcome_id,
            decision_id=given.decision_id,
            item_id=given.item_id,
            name=given.name,
            value=given.value,
            time=received if given.time is None else micros(given.time),
            received=received,
        )
        for given in _read(body).outcomes
    ]


def micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
