"""What the log holds: row groups of days, late files included, journals of running gateways not.

groups, unreadable = row_groups(log, "exposures", days)
table = groups[0].read(["decision_id", "time"])             # DataError: damaged
for table in rows(log, "outcomes", days): ...               # each id once, whichever file it is in
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from components.exposures.archiving import SCHEMAS
from components.exposures.journal import EXPOSURES
from pipelines.errors import DataError, one_line
from pipelines.settings import Settings


class RowGroup(NamedTuple):
    path: Path
    number: int

    def read(self, columns: Sequence[str]) -> pa.Table:
        try:
            with pq.ParquetFile(self.path) as file:
                return file.read_row_group(self.number, columns=list(columns), use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"a file of the log cannot be read: {one_line(error)}",
                fix="restore it, or move it out of the log: its rows are lost then",
                place=str(self.path),
            ) from error


def row_groups(log: Path, kind: str, days: Iterable[datetime.date]) -> tuple[list[RowGroup], list[Path]]:
    """By day and file name; and the files that cannot be read."""
    found, unreadable = [], []
    for day in days:
        for path in sorted((log / kind / f"day={day}").glob("[!.]*.parquet")):
            try:
                with pq.ParquetFile(path) as file:
                    found += [RowGroup(path, number) for number in range(file.num_row_groups)]
                    _require_columns(file.schema_arrow, kind)
            except (OSError, pa.ArrowException, DataError):
                unreadable.append(path)
    return found, unreadable


def rows(
    log: Path, kind: str, days: Iterable[datetime.date], *, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """Each id once; in memory are all ids and one row group.

    Raises:
        DataError: a file is damaged.
    """
    key = "decision_id" if kind == EXPOSURES else "outcome_id"
    groups, unreadable = row_groups(log, kind, days)
    if unreadable:
        RowGroup(unreadable[0], 0).read(SCHEMAS[kind].names)
    seen: set[str] = set()
    for group in groups:
        wanted = list(dict.fromkeys([key, *(columns or SCHEMAS[kind].names)]))
        table = group.read(wanted)
        fresh = []
        for number, one in enumerate(table.column(key).to_pylist()):
            if one not in seen:
                seen.add(one)
                fresh.append(number)
        yield table.take(pa.array(fresh, pa.int64())).select(list(columns or SCHEMAS[kind].names))


def default_log(settings: Settings) -> Path:
    return settings.state / "exposures"


def days_between(first: datetime.datetime, last: datetime.datetime) -> list[datetime.date]:
    """UTC, both included."""
    start, end = (time.astimezone(datetime.UTC).date() for time in (first, last))
    return [start + datetime.timedelta(days=number) for number in range((end - start).days + 1)]


def _require_columns(schema: pa.Schema, kind: str) -> None:
    for field in SCHEMAS[kind]:
        place = schema.get_field_index(field.name)
        if place < 0 or not schema.field(place).type.equals(field.type):
            raise DataError(f"a file of {kind} must have the column {field.name} of type {field.type}")
