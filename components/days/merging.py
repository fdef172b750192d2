"""Partial results by day: those that are kept, those that are still to be measured, and their merge in day order.

    partials = Partials(store, "statistics", {"2026-01-04": key, "2026-01-05": other_key})
    elements = numbered({day: row_groups[day] for day in partials.missing})
    _ = pipeline | beam.Create(elements) | Aggregate(ByDay(kernel)) | beam.Map(write_pickled, path)
    merged = partials.merged(kernel, path)

The same bytes whichever days were kept: what is merged has always been a file.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from components.aggregation import Kernel
from components.days.store import DayStore

Element = TypeVar("Element")
Partial = TypeVar("Partial")

_DAY_STRIDE = 1 << 32
"""`Aggregate` merges neighbours by their numbers. So far apart, row groups of two days are never neighbours, and the sums
of a day do not depend on the days before it."""
_FILE = "partial.pickle"
_AT_ONCE = 8
"""Days in memory while they are merged."""


class ByDay(Kernel[tuple[str, Element], dict[str, Partial]]):
    """Measures several days in one pass, each as if it were alone."""

    def __init__(self, kernel: Kernel[Element, Partial]) -> None:
        self._kernel = kernel

    def setup(self) -> None:
        self._kernel.setup()

    def partial(self, element: tuple[str, Element]) -> dict[str, Partial]:
        day, row_group = element
        return {day: self._kernel.partial(row_group)}

    def merge(self, partials: Sequence[dict[str, Partial]]) -> dict[str, Partial]:
        by_day: dict[str, list[Partial]] = {}
        for found in partials:
            for day, one in found.items():
                by_day.setdefault(day, []).append(one)
        return {day: self._kernel.merge(found) for day, found in by_day.items()}

    def parts(self, partial: dict[str, Partial]) -> dict[tuple[str, Any], Any]:
        return {(day, key): part for day, found in partial.items() for key, part in self._kernel.parts(found).items()}

    def merge_part(self, key: tuple[str, Any], parts: Sequence[Any]) -> Any:
        return self._kernel.merge_part(key[1], parts)

    def whole(self, parts: Mapping[tuple[str, Any], Any]) -> dict[str, Partial]:
        by_day: dict[str, dict[Any, Any]] = {}
        for (day, key), part in parts.items():
            by_day.setdefault(day, {})[key] = part
        return {day: self._kernel.whole(found) for day, found in by_day.items()}


def numbered(groups: Mapping[str, Sequence[Any]]) -> list[tuple[int, tuple[str, Any]]]:
    """(number, (day, row group)), as `Aggregate` takes them."""
    return [
        (place * _DAY_STRIDE + number, (day, group))
        for place, (day, found) in enumerate(groups.items())
        for number, group in enumerate(found)
    ]


def write_pickled(merged: Any, path: Path) -> None:
    with path.open("wb") as file:
        # The default protocol copies the buffers of Arrow, and holds the copies until it is done.
        pickle.dump(merged, file, protocol=pickle.HIGHEST_PROTOCOL)


def read_pickled(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file)  # noqa: S301  # our own, a moment ago, or with its digest checked


class Partials:
    """One partial of a kernel for each day, oldest first."""

    def __init__(self, store: DayStore, stage: str, keys: Mapping[str, str]) -> None:
        self._store, self._stage, self._keys = store, stage, keys
        self._entries = {day: store.find(stage, key) for day, key in keys.items()}

    @property
    def missing(self) -> list[str]:
        return [day for day, entry in self._entries.items() if entry is None]

    def merged(self, kernel: Kernel[Any, Any], path: Path) -> Any:
        """Of all days, once `path` holds the partials of the missing ones by day; None when no day has rows."""
        if self.missing:
            self._add(read_pickled(path) if path.exists() else {})
        partials, merged = self._read(), None
        while some := list(islice(partials, _AT_ONCE)):
            merged = kernel.merge(some if merged is None else [merged, *some])
        return merged

    def _add(self, made: Mapping[str, Any]) -> None:
        for day in self.missing:
            with self._store.new() as folder:
                write_pickled(made.get(day), folder / _FILE)  # none: the day has no rows here
                self._entries[day] = self._store.add(self._stage, self._keys[day], folder)

    def _read(self) -> Iterator[Any]:
        for entry in self._entries.values():
            assert entry is not None
            found = read_pickled(entry.path(_FILE))
            if found is not None:
                yield found
