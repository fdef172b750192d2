"""The raw files of a day by the format that the spec declares.

raw = RawDay(open_files(data, day, paths, required=True), data)
raw = raw_day(data, day, settings)      # of the whole window
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence

from components.contract.columns import require_no_lists
from components.contract.delimited import DelimitedFile
from components.contract.jsonlines import JsonLinesFile
from components.contract.parquet import ParquetRows
from components.contract.query import QueryRows
from components.contract.raw import RawFile
from components.contract.reading import RawDay, batch_rows
from components.contract.source import days_of_window, files_by_day
from pipelines.settings import Settings
from pipelines.spec import Data
from pipelines.storage import File


def raw_day(data: Data, day: datetime.date, settings: Settings) -> RawDay:
    """All rows of the window.

    Raises:
        DataError: the day itself has no file, or one is empty, unreadable or of another format.
    """
    if data.source.is_query:
        found: Mapping[datetime.date, Sequence[File]] = {one: [] for one in days_of_window(data.source, day)}
    else:
        found = files_by_day(data.source, day, settings)
    opened = (open_files(data, one, paths, required=one == day) for one, paths in found.items())
    return RawDay([file for files in opened for file in files], data)


def open_files(data: Data, day: datetime.date, paths: Sequence[File], *, required: bool) -> list[RawFile]:
    """Of one day. A query has no paths; `required` is that it gives a row."""
    if data.source.format == "csv":
        require_no_lists(data.columns)
    if data.source.format == "sql":
        return [QueryRows(data.source, day, data.columns, required=required)]
    if data.source.format == "bigquery":
        from components.contract.bigquery import BigQueryRows  # Google's client: a second in a cold process

        return [BigQueryRows(data.source, day, required=required)]
    opened = _reader(data)
    return [opened(path) for path in paths]


def _reader(data: Data) -> Callable[[File], RawFile]:
    if data.source.format == "tfrecord":
        from components.contract.records import RecordsFile  # which imports TensorFlow: seconds in a cold process

        return lambda path: RecordsFile(path, data.columns)
    if data.source.format == "jsonl":
        return lambda path: JsonLinesFile(path, data.columns)
    if data.source.format == "csv":
        return DelimitedFile
    return lambda path: ParquetRows(path, rows=batch_rows(data))
