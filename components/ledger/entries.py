"""Rows of the ledger and what they add up to: pure functions, so that every reader gets the same answer.

    entries = ledger.entries()
    champion(entries)                                # the row that made the champion of now
    champion(entries, before=datetime.date(2026, 1, 6))  # what a candidate of that day is compared with
    standing(entries).aliases                        # {"champion": "3", "challenger": "4", "previous": "2"}

A row counts from its data day on, so that a day backfilled late dethrones no champion of a later day.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterable, Sequence

from pipelines.spec import Frozen

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
ALIASES = (CHAMPION, CHALLENGER, PREVIOUS)


class Event(enum.StrEnum):
    REGISTERED = "registered"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ALIAS_MOVED = "alias_moved"
    """An alias in MLflow that nobody asked the ledger about, found and put back."""
    DECIDED = "decided"
    """A retrain ended: its verdict, and the digest of its decision record."""


CHANGES = (Event.PROMOTED, Event.ROLLED_BACK)
NOTHING_KNOWN = "not_evaluable"
"""Verdict of a run that ended without an answer; another run of that day may know more."""


class Draft(Frozen):
    """A row to be written."""

    event: Event
    actor: str
    """A user, or `node register`."""
    reason: str
    version: str | None = None
    previous_version: str | None = None
    day: datetime.date | None = None
    """The data day from which on it counts."""
    run_id: str = ""
    verdict: str = ""
    record_digest: str = ""
    """SHA-256 of the decision record."""


class Entry(Draft):
    model: str
    seq: int
    """1, 2, 3 … without gaps, per model."""
    time: datetime.datetime
    """UTC, of the database."""


class Standing(Frozen):
    """Where the newest row leaves a model."""

    live: tuple[str, ...] = ()
    """Versions that were champion and were not rolled back, oldest first; the last one is the champion."""
    challenger: str | None = None

    @property
    def champion(self) -> str | None:
        return self.live[-1] if self.live else None

    @property
    def previous(self) -> str | None:
        """Where a rollback leads."""
        return self.live[-2] if len(self.live) > 1 else None

    @property
    def aliases(self) -> dict[str, str | None]:
        return {CHAMPION: self.champion, CHALLENGER: self.challenger, PREVIOUS: self.previous}


def champion(entries: Iterable[Entry], *, before: datetime.date | None = None) -> Entry | None:
    """The row that made the champion: of now, or the one that a candidate of the day `before` meets."""
    known = list(entries)
    known = known if before is None else known_to(known, before)
    changes = [e for e in known if e.event in CHANGES and e.day and (before is None or e.day < before)]
    return max(changes, key=_order, default=None)


def known_to(entries: Sequence[Entry], day: datetime.date) -> list[Entry]:
    """What the ledger held when `day` was first answered; all of it for a day without an answer."""
    answers = (
        e.seq
        for e in entries
        if e.day == day and (e.event is Event.REGISTERED or (e.event is Event.DECIDED and e.verdict != NOTHING_KNOWN))
    )
    first = min(answers, default=None)
    return [e for e in entries if first is None or e.seq < first]


def standing(entries: Iterable[Entry]) -> Standing:
    live: list[str] = []
    newest: Entry | None = None
    challenger: Entry | None = None
    for entry in entries:
        if entry.event is Event.REGISTERED and (challenger is None or _order(entry) > _order(challenger)):
            challenger = entry
        if entry.event in CHANGES and entry.version and (newest is None or _order(entry) > _order(newest)):
            newest = entry
            if entry.version in live:
                del live[live.index(entry.version) :]
            live.append(entry.version)
    return Standing(live=tuple(live), challenger=challenger.version if challenger else None)


def versions(entries: Iterable[Entry], *events: Event) -> list[str]:
    """Versions with a row of one of `events`, in the order of their first."""
    return list(dict.fromkeys(e.version for e in entries if e.event in events and e.version))


def _order(entry: Entry) -> tuple[datetime.date, int]:
    return entry.day or datetime.date.min, entry.seq
