"""The ledger for people: the champion in a few lines, and every row as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components.ledger.entries import Entry, Event, champion, standing
from pipelines.outcome import run_folder
from pipelines.settings import Settings

DECISION_FILE = "decision.json"


def render_champion(name: str, entries: Sequence[Entry], settings: Settings) -> Iterator[str]:
    """Who, since when, by whom and why, and where the decision stands."""
    now, made_by = standing(entries), champion(entries)
    if made_by is None:
        yield f"{name}: no champion"
        return
    yield f"{name}: version {made_by.version} is champion since {_time(made_by)}"
    yield f"why      {made_by.event.replace('_', ' ')} by {made_by.actor}: {made_by.reason}"
    yield f"before   {made_by.previous_version or 'none'}; a rollback leads to {now.previous or 'none'}"
    if now.challenger != now.champion:
        yield f"waiting  challenger is version {now.challenger}"
    if made_by.run_id:
        yield f"record   {run_folder(settings, name, made_by.run_id) / DECISION_FILE}{_digest(entries, made_by)}"
    moved = [entry for entry in entries if entry.event is Event.ALIAS_MOVED]
    if moved:
        yield f"noticed  {_time(moved[-1])} {moved[-1].reason}"


def _digest(entries: Sequence[Entry], made_by: Entry) -> str:
    digests = [e.record_digest for e in entries if e.run_id == made_by.run_id and e.record_digest]
    return f" (sha256 {digests[-1][:12]})" if digests else ""


def render_history(entries: Sequence[Entry]) -> Iterator[str]:
    """A table, oldest row first."""
    head = ("seq", "time", "event", "version", "before", "day", "actor", "verdict", "reason")
    rows = [head, *(_cells(entry) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head) - 1)]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[-1]]).rstrip()


def _cells(entry: Entry) -> tuple[str, ...]:
    day = entry.day.isoformat() if entry.day else ""
    version, before = entry.version or "", entry.previous_version or ""
    reason = " ".join(entry.reason.split())
    return (str(entry.seq), _time(entry), entry.event.value, version, before, day, entry.actor, entry.verdict, reason)


def _time(entry: Entry) -> str:
    return entry.time.strftime("%Y-%m-%d %H:%M:%SZ")
