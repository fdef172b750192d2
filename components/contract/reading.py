"""Raw files to one typed Arrow table; what does not fit is told, row by row.

    raw = read_raw(files, data)
    raw.table, raw.wrong["price: not of type float"], raw.extra_columns

A file that cannot be read at all, or not as declared, is an error of the whole day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.contract.columns import require_columns, require_no_lists
from components.contract.delimited import UNCLOSED_QUOTE, BrokenLine, read_csv, swallowed_lines
from components.contract.values import Mask, convert, mistyped_reason
from pipelines.errors import DataError, bounded
from pipelines.spec import ColumnType, Data

WRONG_TYPE_SHARE = 0.5
"""A column in which more values than this cannot be read is of another type; fewer are bad rows."""


@dataclass(frozen=True)
class RawTable:
    table: pa.Table
    """The declared columns, typed; null where a value is wrong."""
    untyped: pa.Table
    """All columns as they were read: for the quarantine, and to tell duplicates."""
    wrong: Mapping[str, Mask] = field(default_factory=dict)
    """By reason: rows with a wrong value."""
    swallowed: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """`[rows]`: further lines that an unclosed quote pulled into a row."""
    broken: tuple[BrokenLine, ...] = ()
    """Lines that could not be split into values."""

    @property
    def extra_columns(self) -> list[str]:
        return sorted(set(self.untyped.column_names) - set(self.table.column_names))

    def take(self, rows: npt.NDArray[np.int64]) -> RawTable:
        """Some of the rows; broken lines belong to no row and stay."""
        return RawTable(
            table=self.table.take(rows),
            untyped=self.untyped.take(rows),
            wrong={reason: mask[rows] for reason, mask in self.wrong.items()},
            swallowed=self.swallowed[rows],
            broken=self.broken,
        )


def read_raw(files: Sequence[Path], data: Data) -> RawTable:
    """Reads the files in order.

    Raises:
        DataError: a file is empty or unreadable, a column is missing or of another type altogether, there are no rows.
    """
    if data.source.format == "csv":
        require_no_lists(data.columns)
    raw = _concatenate([_read_file(path, data) for path in files])
    if not raw.table.num_rows and not raw.broken:
        raise DataError(f"no rows in {bounded(files)}", fix="check what writes the day; load it again")
    _require_types(raw, data.columns, place=str(files[0]) if len(files) == 1 else f"{len(files)} files from {files[0]}")
    return raw


def _read_file(path: Path, data: Data) -> RawTable:
    try:
        if path.stat().st_size == 0:
            raise DataError(
                "the file is empty (0 bytes)", fix="check what writes the day; load it again", place=str(path)
            )
        broken: tuple[BrokenLine, ...] = ()
        if data.source.format == "csv":
            rows, broken = read_csv(path)
        else:
            with pq.ParquetFile(path) as file:
                rows = file.read()
    except PermissionError as error:
        raise DataError("no permission to read the file", fix="give this user read access", place=str(path)) from error
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the data
        raise DataError(
            f"not readable as {data.source.format}: {str(error).splitlines()[0][:200]}",
            fix="write the file again: it is truncated, damaged or of another format than `data.source.format` says",
            place=str(path),
        ) from error
    require_columns(rows.schema, data.columns, path=path)
    return _typed(rows, broken, data, path=path)


def _typed(rows: pa.Table, broken: tuple[BrokenLine, ...], data: Data, *, path: Path) -> RawTable:
    wrong: dict[str, Mask] = {}
    columns = {}
    for name, kind in data.columns.items():
        try:
            typed = convert(rows[name].combine_chunks(), kind, name=name)
        except pa.ArrowInvalid as error:
            raise DataError(
                f"column {name!r} is not UTF-8: {str(error)[:200]}", fix="write the column as UTF-8", place=str(path)
            ) from error
        columns[name] = typed.values
        wrong |= {reason: mask for reason, mask in typed.wrong.items() if mask.any()}
    swallowed = swallowed_lines(rows) if data.source.format == "csv" else np.zeros(rows.num_rows, np.int64)
    if swallowed.any():
        wrong[UNCLOSED_QUOTE] = swallowed > 0
    return RawTable(table=pa.table(columns), untyped=rows, wrong=wrong, swallowed=swallowed, broken=broken)


def _concatenate(parts: Sequence[RawTable]) -> RawTable:
    if len(parts) == 1:
        return parts[0]
    reasons = dict.fromkeys(reason for part in parts for reason in part.wrong)
    return RawTable(
        table=pa.concat_tables([part.table for part in parts]),
        untyped=_concatenate_untyped([part.untyped for part in parts]),
        wrong={
            reason: np.concatenate([part.wrong.get(reason, np.zeros(part.table.num_rows, bool)) for part in parts])
            for reason in reasons
        },
        swallowed=np.concatenate([part.swallowed for part in parts]),
        broken=tuple(line for part in parts for line in part.broken),
    )


def _concatenate_untyped(tables: Sequence[pa.Table]) -> pa.Table:
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:  # columns of other types in other files: as text they are comparable
        return pa.concat_tables([as_text(table) for table in tables], promote_options="default")


def as_text(table: pa.Table, *, limit: int | None = None) -> pa.Table:
    """All columns as text, at most `limit` characters of each value."""
    return pa.table({name: _texts(table[name], limit) for name in table.column_names})


def _texts(column: pa.ChunkedArray, limit: int | None) -> pa.Array:
    return pa.array([None if value is None else _text(value, limit) for value in column.to_pylist()], pa.large_string())


def _text(value: object, limit: int | None) -> str:
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    return text if limit is None or len(text) <= limit else f"{text[:limit]}… (cut, {len(text):,} characters)"


def _require_types(raw: RawTable, columns: Mapping[str, ColumnType], *, place: str) -> None:
    for name, kind in columns.items():
        mask = raw.wrong.get(mistyped_reason(name, kind))
        present = int(raw.table[name].is_valid().to_numpy().sum())
        if mask is None or mask.sum() <= WRONG_TYPE_SHARE * (present + mask.sum()):
            continue
        examples = raw.untyped[name].filter(pa.array(mask)).slice(0, 5).to_pylist()
        raise DataError(
            f"column {name!r} must be of type {kind}: {mask.sum():,} of {present + mask.sum():,} values are not. "
            f"Received: {bounded(repr(str(value)[:40]) for value in examples)}",
            fix=f"correct the source, or `data.columns.{name}` in pipeline.yaml",
            place=place,
        )
