"""The models of earlier days, as ledger and registry knew them before a day was answered.

history = read_history(settings, "shop", datetime.date(2026, 1, 9), count=5)
history.champion, history.versions[1].version
"""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from components.ledger.entries import Entry, Event, champion, known_to
from components.ledger.ledger import Ledger
from components.registry.versions import Registry
from components.worth.ledger import all_versions, entry_of
from pipelines.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


class History(NamedTuple):
    champion: Entry | None
    """The row that made it."""
    versions: dict[int, ModelVersion]
    """By age in days."""

    @property
    def cost_usd(self) -> float | None:
        """Median of training and judging one."""
        entries = [entry for version in self.versions.values() if (entry := entry_of(version))]
        return statistics.median(entry.training_usd + entry.gates_usd for entry in entries) if entries else None


def read_history(settings: Settings, name: str, day: datetime.date, *, count: int) -> History:
    """Raises `TransientError` when ledger or registry do not answer."""
    entries = Ledger.open(settings, name).entries()
    versions = all_versions(Registry.connect(settings, name))
    return History(champion(entries, before=day), aged_versions(entries, versions, day, count=count))


def aged_versions(
    entries: Sequence[Entry], versions: Iterable[ModelVersion], day: datetime.date, *, count: int
) -> dict[int, ModelVersion]:
    """By age in days from 1 to `count`; of several versions of a day the one that was champion, then the newest.

    Without those that were rolled back: what is wrong with them is not their age.
    """
    known = known_to(entries, day)
    rolled_back = {entry.previous_version for entry in known if entry.event is Event.ROLLED_BACK}
    there = {version.version: version for version in versions if version.version not in rolled_back}
    promoted = {entry.version for entry in known if entry.event is Event.PROMOTED}
    registered = [entry for entry in known if entry.event is Event.REGISTERED and entry.version in there]
    by_age: dict[int, ModelVersion] = {}
    for entry in sorted(registered, key=lambda one: (one.version in promoted, one.seq)):
        if entry.day and entry.version and 1 <= (age := (day - entry.day).days) <= count:
            by_age[age] = there[entry.version]
    return dict(sorted(by_age.items()))
