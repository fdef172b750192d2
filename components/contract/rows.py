"""Rules that hold for every row of every pipeline; a row that breaks one goes to quarantine with its reasons."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.contract.reading import RawRows
from components.contract.repetitions import Repetitions
from components.contract.values import Mask
from pipelines.errors import DataError
from pipelines.spec import Data

REPEATED = "the same as an earlier row"


@dataclass
class Reasons:
    """Why rows go to quarantine: a mask per reason over some rows."""

    count: int
    masks: dict[str, Mask] = field(default_factory=dict)
    """Also of reasons that no row here has: their order is the same in all batches."""

    def add(self, reason: str, mask: Mask) -> None:
        self.masks[reason] = self.masks[reason] | mask if reason in self.masks else mask

    @property
    def quarantined(self) -> Mask:
        found = np.zeros(self.count, bool)
        for mask in self.masks.values():
            if mask.any():  # most reasons no row has
                found |= mask
        return found

    def of_rows(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """The reasons of each row, joined by `; `."""
        return ["; ".join(reason for reason, mask in self.masks.items() if mask[row]) for row in rows]


def find_bad_rows(rows: RawRows, data: Data, repetitions: Repetitions) -> Reasons:
    """Wrong values, required ones missing, and repetitions of an earlier row."""
    reasons = Reasons(rows.count, dict(rows.wrong))
    times = [data.source.time_column] if data.source.time_column else []
    for name in dict.fromkeys([data.label, *data.required, *times]):
        # A value that is there but wrong is told already.
        reasons.add(f"{name}: missing", _is_null(rows.typed[name]) & ~_told(rows, name))
    reasons.add(REPEATED, repetitions.find(rows.untyped))
    return reasons


def require_values(rows: int, nulls: dict[str, int], data: Data, *, place: str) -> None:
    """Raises `DataError` when the label or a required column has no value at all: that is no accident of single rows."""
    for name in dict.fromkeys([data.label, *data.required]):
        if rows and nulls[name] == rows:
            raise DataError(
                f"column {name!r} is required, and is null in every row ({rows:,})",
                fix="repair what writes it; load the day again",
                place=place,
            )


def _told(rows: RawRows, name: str) -> Mask:
    told = [mask for reason, mask in rows.wrong.items() if reason.startswith(f"{name}: ")]
    return np.any(told, axis=0) if told else np.zeros(rows.count, bool)


def _is_null(column: pa.ChunkedArray) -> Mask:
    return np.asarray(column.is_null().to_numpy(), bool)
