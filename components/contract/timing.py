"""Which rows of a file of many days belong to the window of the data day. Days are UTC."""

from __future__ import annotations

import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from components.contract.values import Mask
from pipelines.errors import DataError
from pipelines.spec import Source


class Window:
    """Where the files are partitioned by day, all rows belong to it."""

    def __init__(self, source: Source, day: datetime.date) -> None:
        self._source, self._day = source, np.datetime64(day)
        self._begin = np.datetime64(day - datetime.timedelta(days=source.window_days - 1))
        self._reach: tuple[np.datetime64, np.datetime64] | None = None
        self._is_empty = True

    @property
    def unreadable_reason(self) -> str:
        return f"{self._source.time_column}: not a time in {self._source.time_format}"

    def select(self, rows: pa.Table) -> tuple[Mask, Mask]:
        """`[rows]`: those of the window, and those whose time cannot be read.

        A row without a readable time belongs to no day, so it is kept, and the rules put it into quarantine.
        """
        if self._source.time_column is None:
            return np.ones(rows.num_rows, bool), np.zeros(rows.num_rows, bool)
        times = rows[self._source.time_column]
        dates = _dates(times, self._source)
        known = ~np.isnat(dates)
        if known.any():
            reach = (dates[known].min(), dates[known].max())
            self._reach = (
                reach if self._reach is None else (min(reach[0], self._reach[0]), max(reach[1], self._reach[1]))
            )
        inside = (dates >= self._begin) & (dates <= self._day)
        self._is_empty &= not inside.any()
        return inside | ~known, ~known & np.asarray(times.is_valid().to_numpy(), bool)

    def require(self) -> None:
        """After the last row.

        Raises:
            DataError: the data begins after the day, ends before it, or has no row in its window.
        """
        if self._source.time_column is None:
            return
        if self._reach is None:
            raise DataError(
                f"no value of `{self._source.time_column}` is a time in {self._source.time_format}",
                fix="correct `data.source.time_column` or `time_format`",
            )
        first, last = self._reach
        if not first <= self._day <= last or self._is_empty:
            raise DataError(
                f"no data of {self._day}: `{self._source.time_column}` reaches from {first} to {last}",
                fix="choose a day that has data, or load it",
            )


def _dates(times: pa.ChunkedArray, source: Source) -> npt.NDArray[np.datetime64]:
    if source.time_format == "epoch_seconds":
        found = pd.to_datetime(times.to_pandas(), unit="s", errors="coerce", utc=True)
    else:
        found = pd.to_datetime(times.to_pandas().astype(object), format="ISO8601", errors="coerce", utc=True)
    return found.dt.tz_localize(None).to_numpy().astype("datetime64[D]")
