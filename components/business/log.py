"""The log of one day: which lists were shown, from which candidates, and what a candidate looks like to a model.

    log = DayLog.open(policy, data, day)
    for lists in log.lists(rows):                 # `rows`: of the contract, of held-out users
        batch = lists.candidate_rows(columns)     # what a model scores: a row for each candidate of each list
        scores = lists.as_table(predictions)      # [lists, candidates], minus infinity behind shorter lists

A row agrees with the log when its list is there, all candidates are in the catalogue, and the item it shows stands where
it says. Others are left out and counted.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.contract.source import files_by_day, fingerprint_of_day
from components.examples.records import readable, to_lists
from components.inference.units import Floats
from pipelines.errors import DataError, bounded
from pipelines.settings import Settings
from pipelines.spec import Data, Policy, Source
from pipelines.storage import readable_by_arrow

LISTS = 1024
"""Scored at a time."""
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lists:
    """Some lists, and the rows that show their items."""

    rows: pa.Table
    """Those that agree with the log."""
    list_of_row: Ints
    items: pa.Table
    candidates: Ints
    """`[lists, candidates]`: places in `items`; -1 behind shorter lists."""
    contexts: pa.Table
    """A row of each list."""
    policy: Policy

    @property
    def places(self) -> tuple[Ints, Ints]:
        """List and position of each row."""
        return self.list_of_row, _ints(self.rows.column(self.policy.position))

    def candidate_rows(self, columns: Mapping[str, str]) -> pa.RecordBatch:
        """As examples hold them, a row for each candidate; all stand at the top."""
        numbers, _ = np.nonzero(self.candidates >= 0)
        items = pa.array(self.candidates[self.candidates >= 0])
        of_items, of_lists = set(self.items.column_names), pa.array(numbers)
        arrays = [
            (self.items if name in of_items else self.contexts)
            .column(name)
            .take(items if name in of_items else of_lists)
            .combine_chunks()
            for name in columns
        ]
        batch = pa.RecordBatch.from_arrays([_whole(array) for array in arrays], names=list(columns))
        if self.policy.position in columns:
            place = batch.schema.get_field_index(self.policy.position)
            batch = batch.set_column(place, self.policy.position, pa.array(np.zeros(batch.num_rows, np.int64)))
        return to_lists(batch, columns)

    def as_table(self, predictions: npt.NDArray[np.float32] | Floats) -> Floats:
        """`[lists, candidates]` of what `candidate_rows` gave."""
        found = np.full(self.candidates.shape, -np.inf)
        found[self.candidates >= 0] = predictions
        return found


@dataclass
class DayLog:
    policy: Policy
    decisions: pa.Table
    items: pa.Table
    lost: int = 0
    """Rows so far that do not agree with the log."""

    @classmethod
    def open(cls, policy: Policy, data: Data, day: datetime.date) -> DayLog:
        """Raises `DataError` when a file is missing, cannot be read or lacks a column."""
        decisions = _read(policy.decisions, day, [policy.decision, policy.candidates])
        items = _read(policy.items, day, [policy.item])
        return cls(policy, decisions, items.select([name for name in items.column_names if name in data.columns]))

    def lists(self, rows: pa.Table) -> Iterator[Lists]:
        """Batches of whole lists, of those that `rows` show."""
        numbers = pc.index_in(rows.column(self.policy.decision), value_set=self._decision_ids).fill_null(-1)
        order = np.argsort(_ints(numbers), kind="stable")
        rows, of_row = rows.take(pa.array(order)), _ints(numbers)[order]
        self.lost += int((of_row < 0).sum())
        shown, first = np.unique(of_row, return_index=True)
        shown, first = shown[shown >= 0], first[shown >= 0]
        ends = np.append(first[1:], len(of_row))
        for start in range(0, len(shown), LISTS):
            batch = slice(start, start + LISTS)
            low, high = int(first[batch][0]), int(ends[batch][-1])
            yield self._lists(rows.slice(low, high - low), of_row[low:high], shown[batch])

    @property
    def _decision_ids(self) -> pa.Array:
        return _whole(self.decisions.column(self.policy.decision).combine_chunks())

    def _lists(self, rows: pa.Table, of_row: Ints, shown: Ints) -> Lists:
        lists = np.searchsorted(shown, of_row)
        candidates, positions = self._candidates(shown), _ints(rows.column(self.policy.position))
        items = _ints(pc.index_in(_as_text(rows.column(self.policy.item)), value_set=self._item_ids).fill_null(-1))
        width = candidates.shape[1]
        inside = (positions >= 0) & (positions < width)
        stands = candidates[lists, np.clip(positions, 0, width - 1)]
        known = ~np.any(candidates == _UNKNOWN, axis=1)[lists]
        agrees = inside & known & (stands == items) & (items >= 0)
        self.lost += int((~agrees).sum())
        first = np.searchsorted(of_row, shown)
        return Lists(
            rows=rows.filter(pa.array(agrees)),
            list_of_row=lists[agrees],
            items=self.items,
            candidates=np.where(candidates == _UNKNOWN, 0, candidates),
            contexts=rows.take(pa.array(first)),
            policy=self.policy,
        )

    @property
    def _item_ids(self) -> pa.Array:
        return _whole(_as_text(self.items.column(self.policy.item)).combine_chunks())

    def _candidates(self, shown: Ints) -> Ints:
        found = _whole(self.decisions.column(self.policy.candidates).take(pa.array(shown)).combine_chunks())
        lengths = _ints(pc.fill_null(pc.list_value_length(found), 0))
        items = pc.index_in(_as_text(found.flatten()), value_set=self._item_ids).fill_null(_UNKNOWN)
        places = np.full((len(shown), max(1, int(lengths.max(initial=0)))), -1, np.int64)
        places[np.arange(places.shape[1]) < lengths[:, None]] = _ints(items)
        return places


_UNKNOWN = -2


def log_fingerprint(policy: Policy, data: Data, day: datetime.date) -> str:
    """Digest over the content of the files that `DayLog.open` reads."""
    settings = Settings.from_environment()
    found = []
    for path in (policy.decisions, policy.items):
        source = Source(format="parquet", path=path)
        found.append(fingerprint_of_day(source, day, files_by_day(source, day, settings)[day]))
    return " ".join(found)


def _read(path: str, day: datetime.date, required: list[str]) -> pa.Table:
    files = files_by_day(Source(format="parquet", path=path), day, Settings.from_environment())[day]
    tables = [
        readable(
            Path(str(file)),
            partial(pq.read_table, readable_by_arrow(file), partitioning=None),
            what="a file of the log",
            node="business",
        )
        for file in files
    ]
    table = pa.concat_tables(tables)
    if missing := sorted(set(required) - set(table.column_names)):
        raise DataError(
            f"the log must have the columns of `policy`: {bounded(required)}. Received: {bounded(table.column_names)}",
            fix=f"log {bounded(missing)}, or correct the names in `policy` of pipeline.yaml",
            place=path,
        )
    return table


def _as_text(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Ids may be numbers in one file and texts in another."""
    return values.cast(pa.large_string())


def _whole(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _ints(column: pa.Array | pa.ChunkedArray) -> Ints:
    return np.asarray(column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column, np.int64)
