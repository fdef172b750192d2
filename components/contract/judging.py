"""One day against its contract, in one pass: every batch is read, judged and written before the next one.

judged = judge_into(rows_path, quarantine_path, raw, data, day, expectations, rows_limit=0)
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from great_expectations.core import ExpectationValidationResult
from great_expectations.expectations.expectation import Expectation

from components.contract.by_day import validate_day
from components.contract.by_row import ByRow, is_by_row
from components.contract.expectations import (
    ROW,
    Validation,
    columns_of,
    is_row_level,
    outcome,
    run_whole,
    suite_result,
    title,
)
from components.contract.reading import RawDay, RawRows, batch_rows, empty_rows
from components.contract.repetitions import Repetitions
from components.contract.rows import Reasons, find_bad_rows, require_values
from components.contract.timing import Window
from components.contract.values import Mask
from components.contract.writing import TableFile, quarantine_schema, quarantined_lines, quarantined_rows
from pipelines.spec import Data


@dataclass
class Tally:
    """What was counted while the rows went by."""

    rows: int = 0
    quarantined: int = 0
    lost_lines: int = 0
    """Lines inside of rows, or that could not be split."""
    reasons: Counter[str] = field(default_factory=Counter)
    nulls: Counter[str] = field(default_factory=Counter)
    """By column."""

    def add(self, rows: RawRows, reasons: Reasons) -> None:
        self.rows += rows.count
        self.lost_lines += int(rows.swallowed.sum())
        self.quarantined += int(np.count_nonzero(reasons.quarantined))
        # Also those that nobody has here: the order of the reasons is that of the first batch.
        self.reasons.update({reason: int(np.count_nonzero(mask)) for reason, mask in reasons.masks.items()})
        self.nulls.update({name: rows.typed[name].null_count for name in rows.typed.column_names})

    def add_broken(self, raw: RawDay) -> None:
        for line in raw.broken:
            self.lost_lines += line.line_count
            self.reasons[line.reason] += line.line_count


@dataclass(frozen=True)
class Judged:
    """A day and what is wrong with it."""

    tally: Tally
    validation: Validation
    extra_columns: Sequence[str] = ()
    scanned_bytes: int = 0
    """What a query is billed for."""

    @property
    def read_count(self) -> int:
        """Rows of the day, good and bad, with the lines that are inside of others or could not be split."""
        return self.tally.rows + self.tally.lost_lines

    @property
    def quarantined_count(self) -> int:
        return self.tally.quarantined + self.tally.lost_lines

    def reason_counts(self) -> dict[str, int]:
        """Rows by reason, the most frequent first."""
        found = [(reason, count) for reason, count in self.tally.reasons.items() if count]
        return dict(sorted(found, key=lambda item: -item[1]))


class _Batch(NamedTuple):
    rows: RawRows
    reasons: Reasons
    sound: npt.NDArray[np.int64]
    """Numbers of the rows that no rule sends to quarantine."""


class _Selection:
    """The rows of the window with the reasons of the rules. It may be read more than once."""

    def __init__(self, raw: RawDay, data: Data, day: datetime.date, *, rows_limit: int) -> None:
        self._raw, self._data, self._day, self._limit = raw, data, day, rows_limit
        self.schema = empty_rows(data).schema

    def __iter__(self) -> Iterator[_Batch]:
        """Raises `DataError` at the end when the window has no row."""
        window, repetitions, count = Window(self._data.source, self._day), Repetitions(), 0
        for rows in self._raw.batches():
            inside, unreadable = window.select(rows.typed)
            selected = np.flatnonzero(inside)[: max(self._limit - count, 0) if self._limit else None]
            if not len(selected):
                continue
            count += len(selected)
            chosen = rows.take(selected)
            reasons = find_bad_rows(chosen, self._data, repetitions)
            reasons.add(window.unreadable_reason, unreadable[selected])
            yield _Batch(chosen, reasons, np.flatnonzero(~reasons.quarantined))
        window.require()


def judge_into(
    rows_path: Path,
    quarantine_path: Path,
    raw: RawDay,
    data: Data,
    day: datetime.date,
    expectations: Sequence[Expectation],
    *,
    rows_limit: int,
) -> Judged:
    """Both files appear when the whole day is judged."""
    with (
        TableFile(rows_path, empty_rows(data).schema, row_group_rows=batch_rows(data)) as rows_file,
        TableFile(quarantine_path, quarantine_schema(raw.identity.names)) as quarantine_file,
    ):
        judged = judge(
            raw, data, day, expectations, rows_limit=rows_limit, rows_file=rows_file, quarantine_file=quarantine_file
        )
        rows_file.publish()
        quarantine_file.publish()
    return judged


def judge(
    raw: RawDay,
    data: Data,
    day: datetime.date,
    expectations: Sequence[Expectation],
    *,
    rows_limit: int,
    rows_file: TableFile,
    quarantine_file: TableFile,
) -> Judged:
    """Writes the rows of the window to the two files, and finds what is wrong with them."""
    selection = _Selection(raw, data, day, rows_limit=rows_limit)
    suite = _Suite(expectations, selection)
    tally = Tally()
    for rows, reasons, sound in selection:
        for reason, mask in suite.judge_rows(rows.typed_without(reasons.quarantined)):
            of_all = np.zeros(rows.count, bool)
            of_all[sound[mask]] = True
            reasons.add(reason, of_all)
        bad = reasons.quarantined
        kept = rows.typed_without(bad)
        suite.judge_kept(kept)
        rows_file.write(kept)
        if bad.any():
            quarantine_file.write(quarantined_rows(rows, reasons, np.flatnonzero(bad)))
        tally.add(rows, reasons)
    require_values(tally.rows, tally.nulls, data, place=str(day))
    tally.add_broken(raw)
    quarantine_file.write(quarantined_lines(raw.broken, quarantine_file.schema))
    quarantine_file.finish()
    validation = suite.validation(rows_file)
    return Judged(tally, validation, extra_columns=raw.extra_columns, scanned_bytes=raw.scanned_bytes)


class _Suite:
    """Every expectation where it costs least: row by row, over the whole columns, or over the rows that were written."""

    def __init__(self, expectations: Sequence[Expectation], selection: _Selection) -> None:
        self._empty = selection.schema.empty_table()
        self._row_level = [item for item in expectations if is_row_level(item)]
        self._day_level = [item for item in expectations if not is_row_level(item)]
        self._rows = ByRow([item for item in self._row_level if is_by_row(item, selection.schema)])
        self._kept = ByRow([item for item in self._day_level if is_by_row(item, selection.schema)])
        self._whole = [item for item in self._row_level if not is_by_row(item, selection.schema)]
        self._whole_results: list[ExpectationValidationResult] = []
        self._whole_masks: list[Mask] = []
        self._seen = 0
        if self._whole:
            self._judge_whole(selection)

    def _judge_whole(self, selection: _Selection) -> None:
        """These compare rows with each other (unique, increasing): a pass of its own, and their columns in memory."""
        needed = columns_of(self._whole, selection.schema.names)
        parts = [batch.rows.take(batch.sound).typed.select(needed) for batch in selection]
        table = pa.concat_tables([self._empty.select(needed), *parts])
        self._whole_results = run_whole(table, self._whole)
        for item in self._whole_results:
            mask = np.zeros(table.num_rows, bool)
            mask[[entry[ROW] for entry in item.result.get("unexpected_index_list") or []]] = True
            self._whole_masks.append(mask)

    def judge_rows(self, rows: pa.Table) -> list[tuple[str, Mask]]:
        """For each row-level expectation: its name, and the rows that break it."""
        seen, self._seen = self._seen, self._seen + rows.num_rows
        masks = iter(self._rows.add(rows))
        whole = iter(self._whole_masks)
        return [
            (title(item.configuration), next(whole)[seen : self._seen] if item in self._whole else next(masks))
            for item in self._row_level
        ]

    def judge_kept(self, rows: pa.Table) -> None:
        self._kept.add(rows)

    def validation(self, rows_file: TableFile) -> Validation:
        """After the last row."""
        self._rows.add(self._empty)  # so that each is computed at least once
        by_row = _in_order(self._row_level, [*self._rows.results(), *self._whole_results])
        streamed = self._kept.results()
        path = rows_file.finish()
        of_day = [item for item in self._day_level if not is_by_row(item, self._empty.schema)]
        by_day = _in_order(self._day_level, [*streamed, *validate_day(path, of_day)])
        results = {"rows": by_row, "day": by_day}
        return Validation(
            row_level=tuple(outcome(item, of_rows=True) for item in by_row),
            day_level=tuple(outcome(item, of_rows=False) for item in by_day),
            results={name: suite_result(found) for name, found in results.items() if found},
        )


def _in_order(
    expectations: Sequence[Expectation], results: Sequence[ExpectationValidationResult]
) -> list[ExpectationValidationResult]:
    by_title = {title(item.expectation_config): item for item in results}
    return [by_title[title(item.configuration)] for item in expectations]
