"""The raw files of a day by the format that the spec declares.

files = open_day(data, day, settings)       # by day of the window, oldest first
raw = RawDay([file for opened in files.values() for file in opened], data)
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence

from components.contract.columns import require_no_lists
from components.contract.delimited import DelimitedFile
from components.contract.jsonlines import JsonLinesFile
from components.contract.parquet import ParquetRows
from components.contract.query import QueryRows
from components.contract.raw import RawFile
from components.contract.reading import RawDay
from components.contract.source import days_of_window, files_by_day
from pipelines.settings import Settings
from pipelines.spec import Data
from pipelines.storage import File


def open_day(data: Data, day: datetime.date, settings: Settings) -> dict[datetime.date, Sequence[RawFile]]:
    """Days of the window without files have none; with `time_column` all are under `day`.

    Raises:
        DataError: the day itself has no file, or one is empty, unreadable or of another format.
    """
    if data.source.format == "csv":
        require_no_lists(data.columns)
    if data.source.format == "sql":
        days = days_of_window(data.source, day)
        return {one: [QueryRows(data.source, one, data.columns, required=one == day)] for one in days}
    opened = _reader(data)
    return {one: [opened(path) for path in paths] for one, paths in files_by_day(data.source, day, settings).items()}


def raw_day(data: Data, day: datetime.date, settings: Settings) -> RawDay:
    """All rows of the window."""
    return RawDay([file for files in open_day(data, day, settings).values() for file in files], data)


def _reader(data: Data) -> Callable[[File], RawFile]:
    if data.source.format == "tfrecord":
        from components.contract.records import RecordsFile  # which imports TensorFlow: seconds in a cold process

        return lambda path: RecordsFile(path, data.columns)
    if data.source.format == "jsonl":
        return lambda path: JsonLinesFile(path, data.columns)
    return DelimitedFile if data.source.format == "csv" else ParquetRows
