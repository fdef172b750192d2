"""Rules that hold for every row of every pipeline; a row that breaks one goes to quarantine with its reasons."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from components.contract.reading import RawTable
from components.contract.values import Mask
from pipelines.errors import DataError
from pipelines.spec import Data

REPEATED = "the same as an earlier row"


@dataclass
class Reasons:
    """Why rows go to quarantine: a mask per reason over the rows of the day."""

    count: int
    masks: dict[str, Mask] = field(default_factory=dict)

    def add(self, reason: str, mask: Mask) -> None:
        if mask.any():
            self.masks[reason] = self.masks.get(reason, np.zeros(self.count, bool)) | mask

    @property
    def quarantined(self) -> Mask:
        return np.any(list(self.masks.values()), axis=0) if self.masks else np.zeros(self.count, bool)

    def of_rows(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """The reasons of each row, joined by `; `."""
        return ["; ".join(reason for reason, mask in self.masks.items() if mask[row]) for row in rows]

    def counts(self) -> dict[str, int]:
        """Rows by reason, the most frequent first."""
        return dict(
            sorted(((reason, int(mask.sum())) for reason, mask in self.masks.items()), key=lambda item: -item[1])
        )


def find_bad_rows(raw: RawTable, data: Data) -> Reasons:
    """Wrong values, required ones missing, and repetitions of an earlier row."""
    reasons = Reasons(raw.table.num_rows)
    for reason, mask in raw.wrong.items():
        reasons.add(reason, mask)
    times = [data.source.time_column] if data.source.time_column else []
    for name in dict.fromkeys([data.label, *data.required, *times]):
        # A value that is there but wrong is told already.
        reasons.add(f"{name}: missing", _is_null(raw.table[name]) & ~_told(raw, name))
    reasons.add(REPEATED, _repeated(raw.untyped))
    return reasons


def require_values(raw: RawTable, data: Data, *, place: str) -> None:
    """Raises `DataError` when the label or a required column has no value at all: that is no accident of single rows."""
    for name in dict.fromkeys([data.label, *data.required]):
        if raw.table.num_rows and raw.table[name].null_count == raw.table.num_rows:
            raise DataError(
                f"column {name!r} is required, and is null in every row ({raw.table.num_rows:,})",
                fix="repair what writes it; load the day again",
                place=place,
            )


def _told(raw: RawTable, name: str) -> Mask:
    told = [mask for reason, mask in raw.wrong.items() if reason.startswith(f"{name}: ")]
    return np.any(told, axis=0) if told else np.zeros(raw.table.num_rows, bool)


def _is_null(column: pa.ChunkedArray) -> Mask:
    return np.asarray(column.is_null().to_numpy(), bool)


def _repeated(table: pa.Table) -> Mask:
    """Exact, over all columns of the file: an id that the pipeline does not read still tells rows apart."""
    repeated = np.ones(table.num_rows, bool)
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    numbered = frame.rename({name: f"c{number}" for number, name in enumerate(frame.columns)}).with_row_index("row")
    firsts = numbered.unique(subset=numbered.columns[1:], keep="first", maintain_order=True)["row"]
    repeated[firsts.to_numpy()] = False
    return repeated
