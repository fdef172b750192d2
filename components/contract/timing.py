"""Which rows of a file of many days belong to the window of the data day. Days are UTC."""

from __future__ import annotations

import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from components.contract.reading import RawTable
from components.contract.values import Mask
from pipelines.errors import DataError
from pipelines.spec import Source


def rows_of_window(raw: RawTable, source: Source, day: datetime.date) -> tuple[Mask, Mask]:
    """`[rows]`: those of the window, and those whose time cannot be read.

    A row without a readable time belongs to no day, so it is kept, and the rules put it into quarantine. Where the
    files are partitioned by day, all rows belong to the window.

    Raises:
        DataError: the data begins after the day, ends before it, or has no row in its window.
    """
    if source.time_column is None:
        return np.ones(raw.table.num_rows, bool), np.zeros(raw.table.num_rows, bool)
    times = raw.table[source.time_column]
    dates = _dates(times, source)
    known = ~np.isnat(dates)
    unreadable = ~known & np.asarray(times.is_valid().to_numpy(), bool)
    if not known.any():
        raise DataError(
            f"no value of `{source.time_column}` is a time in {source.time_format}",
            fix="correct `data.source.time_column` or `time_format`",
        )
    first, last = dates[known].min(), dates[known].max()
    begin, end = np.datetime64(day - datetime.timedelta(days=source.window_days - 1)), np.datetime64(day)
    inside = (dates >= begin) & (dates <= end)
    if not first <= end <= last or not inside.any():
        raise DataError(
            f"no data of {day}: `{source.time_column}` reaches from {first} to {last}",
            fix="choose a day that has data, or load it",
        )
    return inside | ~known, unreadable


def _dates(times: pa.ChunkedArray, source: Source) -> npt.NDArray[np.datetime64]:
    if source.time_format == "epoch_seconds":
        found = pd.to_datetime(times.to_pandas(), unit="s", errors="coerce", utc=True)
    else:
        found = pd.to_datetime(times.to_pandas().astype(object), format="ISO8601", errors="coerce", utc=True)
    return found.dt.tz_localize(None).to_numpy().astype("datetime64[D]")
