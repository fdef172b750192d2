"""The two tables of a judged day: rows that fulfil the contract, and the quarantine. Each appears whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.contract.reading import RawTable, as_text
from components.contract.rows import Reasons

ROWS_FILE, QUARANTINE_FILE = "rows-00000-of-00001.parquet", "quarantine.parquet"
ROW_GROUP_ROWS = 65_536
"""A row group is the unit of work of the nodes that follow."""
_CHARACTERS = 10_000
"""Of one value in quarantine: one giant value does not make a giant file."""


def write_rows(raw: RawTable, rows: npt.NDArray[np.int64], folder: Path) -> None:
    """The numbered rows, typed, in input order; equal tables are equal files."""
    _write(raw.table.take(rows).combine_chunks(), folder / ROWS_FILE)


def write_quarantine(raw: RawTable, reasons: Reasons, folder: Path) -> int:
    """Bad rows as text with `_reasons`, then broken lines as `_line`; returns how many there are."""
    bad = np.flatnonzero(reasons.quarantined)
    rows = as_text(raw.untyped.take(bad), limit=_CHARACTERS)
    rows = rows.append_column("_line", pa.nulls(len(bad), pa.large_string()))
    rows = rows.append_column("_reasons", pa.array(reasons.of_rows(bad), pa.large_string()))
    lines = pa.table({"_line": [line.text for line in raw.broken], "_reasons": [line.reason for line in raw.broken]})
    lines = as_text(lines, limit=_CHARACTERS)
    _write(pa.concat_tables([rows, lines], promote_options="default"), folder / QUARANTINE_FILE)
    return rows.num_rows + lines.num_rows


def _write(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, temporary, compression="zstd", row_group_size=ROW_GROUP_ROWS)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
