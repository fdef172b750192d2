"""Aliases and tags in MLflow, written from the ledger: whatever stands there, what the ledger says is made true.

    noticed = reconcile(registry, ledger)      # ["@champion was moved by hand to version 2; put back to version 3"]

Level-triggered: it compares and writes the whole state, so that a writer killed half-way is mended by the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.ledger.entries import CHAMPION, Draft, Entry, Event, standing
from components.ledger.ledger import Ledger, Projected
from components.registry.versions import STATUS, Registry
from components.rollout.pointers import rollout_aliases

Aliases = Mapping[str, str | None]

ACTOR = "node register"


def reconcile(registry: Registry, ledger: Ledger, *, actor: str = ACTOR) -> list[str]:
    """Writes what the newest row says; returns what was found there that the ledger had not written."""
    with ledger.turn():
        return write_projection(registry, ledger, actor=actor)


def write_projection(registry: Registry, ledger: Ledger, *, actor: str) -> list[str]:
    """As `reconcile`, for who has the turn already."""
    entries, projected = ledger.entries(), ledger.projected()
    if not entries:
        return _adopt(registry, ledger, registry.aliases(), actor=actor)
    wanted: Aliases = {**standing(entries).aliases, **rollout_aliases(ledger.engine, ledger.model)}
    found = registry.aliases(tuple(wanted))
    noticed = _moved_by_hand(found, wanted, projected)
    if noticed:
        drafts = [Draft(event=Event.ALIAS_MOVED, actor=actor, reason=text, version=found[a]) for a, text in noticed]
        entries = ledger.append(*drafts, after=entries)
    before = projected.aliases or {}
    # Before the first write: when this process is killed, the next one knows both states as the ledger's own.
    possible = {alias: [*before.get(alias, [None]), found[alias], wanted[alias]] for alias in wanted}
    ledger.remember(Projected(projected.seq, possible))
    lost = _write(registry, entries, wanted, found=found, after=projected.seq)
    ledger.remember(
        Projected(entries[-1].seq, {alias: [None, at] if at in lost else [at] for alias, at in wanted.items()})
    )
    return [
        *(text for _, text in noticed),
        *(f"version {version} stands in the ledger, and MLflow lost it" for version in lost),
    ]


def _moved_by_hand(found: Aliases, wanted: Aliases, projected: Projected) -> list[tuple[str, str]]:
    if projected.aliases is None:
        return []
    noticed = []
    for alias, version in found.items():
        ours = [*projected.aliases.get(alias, [None]), wanted[alias]]
        if version not in ours:
            to = f"to version {version}" if version else "away"
            back = wanted[alias]
            noticed.append((alias, f"@{alias} was moved by hand {to}; the ledger says {_name(back)}, put back"))
    return noticed


def _name(version: str | None) -> str:
    return f"version {version}" if version else "none"


def _write(registry: Registry, entries: Sequence[Entry], wanted: Aliases, *, found: Aliases, after: int) -> list[str]:
    """Returns versions that are to have an alias and that MLflow lost: an old one must not stop a retrain."""
    lost = []
    for alias, version in wanted.items():
        if found[alias] != version and not registry.set_alias(alias, version):
            lost.append(str(version))
    for version, status in _statuses(entries).items():
        if any(entry.seq > after and version in (entry.version, entry.previous_version) for entry in entries):
            registry.tag(version, STATUS, status)
    return list(dict.fromkeys(lost))


def _statuses(entries: Sequence[Entry]) -> dict[str, str]:
    """What last happened to each version, for its tag."""
    statuses: dict[str, str] = {}
    for entry in entries:
        if entry.event is Event.ROLLED_BACK and entry.previous_version:
            statuses[entry.previous_version] = Event.ROLLED_BACK.value
        if entry.version and entry.event in (Event.REGISTERED, Event.PROMOTED, Event.ROLLED_BACK):
            live = Event.PROMOTED if entry.event is Event.ROLLED_BACK else entry.event
            statuses[entry.version] = live.value
    return statuses


def _adopt(registry: Registry, ledger: Ledger, found: Aliases, *, actor: str) -> list[str]:
    """A champion of a time before there was a ledger becomes its first rows."""
    version = found[CHAMPION]
    if version is None:
        return []
    day = registry.data_day(version)
    text = f"adopted: @{CHAMPION} was at version {version} when the ledger began"
    drafts = [
        Draft(event=event, actor=actor, reason=text, version=version, day=day)
        for event in (Event.REGISTERED, Event.PROMOTED)
    ]
    entries = ledger.append(*drafts, after=())
    wanted = standing(entries).aliases
    _write(registry, entries, wanted, found=found, after=0)
    ledger.remember(Projected(entries[-1].seq, {alias: [one] for alias, one in wanted.items()}))
    return [text]
