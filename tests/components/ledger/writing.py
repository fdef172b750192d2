"""Rows as tests want them."""

from __future__ import annotations

import datetime

from components.ledger.entries import Draft, Entry, Event

JANUARY = datetime.date(2026, 1, 1)


def draft(event: Event, version: str | None, day: int, *, verdict: str = "", before: str | None = None) -> Draft:
    return Draft(
        event=event,
        actor="ann",
        reason="because",
        version=version,
        previous_version=before,
        day=JANUARY.replace(day=day),
        verdict=verdict,
    )


def entries(*drafts: Draft) -> list[Entry]:
    """As the ledger would number them, one a minute."""
    noon = datetime.datetime(2026, 1, 20, 12, tzinfo=datetime.UTC)
    return [
        Entry(**one.model_dump(), model="toy", seq=seq, time=noon + datetime.timedelta(minutes=seq))
        for seq, one in enumerate(drafts, start=1)
    ]


def accepted(version: str, day: int) -> tuple[Draft, Draft]:
    return draft(Event.REGISTERED, version, day), draft(Event.PROMOTED, version, day)
