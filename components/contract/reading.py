"""The raw rows of a day as typed batches in input order; what does not fit is told, row by row.

    raw = RawDay(files, data)
    for rows in raw.batches():
        rows.typed, rows.wrong["price: not of type float"]
    raw.extra_columns, raw.broken

A file that cannot be read at all, or not as declared, is an error of the whole day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.contract.columns import is_text, require_columns
from components.contract.delimited import UNCLOSED_QUOTE, swallowed_lines
from components.contract.images import ImageReader
from components.contract.raw import LINE, BrokenLine, RawFile, readable
from components.contract.values import ARROW_TYPES, Mask, Typed, convert, mistyped_reason
from pipelines.errors import DataError, bounded
from pipelines.spec import ColumnType, Data

BATCH_ROWS = 65_536
IMAGE_BATCH_ROWS = 512
"""With images, so that what follows may hold a whole batch of them, decoded: 0.3 GB at 224 x 224 x 3 float32."""
_RUN_ROWS = 64
"""Shorter runs are cheaper copied row by row."""
WRONG_TYPE_SHARE = 0.5
"""A column in which more values than this cannot be read is of another type; fewer are bad rows."""


class NoRowsError(DataError):
    """The files of the day are there, and empty."""


@dataclass(frozen=True)
class RawRows:
    """Some rows of the day."""

    typed: pa.Table
    """The declared columns, typed; null where a value is wrong."""
    untyped: pa.Table
    """Columns as they were read: for the quarantine, and to tell duplicates."""
    wrong: Mapping[str, Mask]
    """By every reason there can be, in the order of the columns: rows with a wrong value."""
    swallowed: npt.NDArray[np.int64]
    """`[rows]`: further lines that an unclosed quote pulled into a row."""

    @property
    def count(self) -> int:
        return self.typed.num_rows

    def typed_without(self, bad: Mask) -> pa.Table:
        """The typed columns of the other rows. Few are bad, so that the rest lies in long runs, which are not copied."""
        if not bad.any():
            return self.typed
        edges = np.flatnonzero(np.diff(bad, prepend=True, append=True))
        if len(edges) > self.count // _RUN_ROWS:
            return self.typed.filter(pa.array(~bad))
        runs = [self.typed.slice(begin, end - begin) for begin, end in edges.reshape(-1, 2).tolist()]
        return pa.concat_tables([self.typed.slice(0, 0), *runs])

    def take(self, rows: npt.NDArray[np.int64]) -> RawRows:
        """Some of them, by ascending numbers."""
        if len(rows) == self.count:
            return self
        numbers = pa.array(rows)
        return RawRows(
            typed=self.typed.take(numbers),
            untyped=self.untyped.take(numbers),
            wrong={reason: mask[rows] for reason, mask in self.wrong.items()},
            swallowed=self.swallowed[rows],
        )


class RawDay:
    """All rows of some files. It may be read more than once.

    Raises:
        DataError: a column is missing or of another type altogether.
    """

    def __init__(self, files: Sequence[RawFile], data: Data) -> None:
        self._files, self._columns = files, data.columns
        self._batch_rows = batch_rows(data)
        self._images = ImageReader(data.images) if has_images(data) else None
        self._csv = data.source.format == "csv"
        for file in files:
            require_columns(file.schema, data.columns, place=file.place)
        self.identity = _common_schema([file.identity for file in files])
        """The columns of `untyped`."""
        known = {name for file in files for name in (*file.schema.names, *file.dropped)}
        self.extra_columns = sorted(known - set(data.columns))
        self.scanned_bytes: int = sum(getattr(file, "scanned_bytes", 0) for file in files)
        """What a query is billed for; files have none."""
        self.broken: list[BrokenLine] = []
        """Lines that could not be split into values, of all batches so far."""

    def batches(self) -> Iterator[RawRows]:
        """Raises `DataError` at the end when there are no rows, or a column has too many wrong values."""
        self.broken = []
        types = _TypeCounts(self._columns)
        for rows in _coalesced(self._typed_parts(), self._batch_rows):
            types.add(rows)
            yield rows
        if not types.rows and not self.broken:
            places = [file.place for file in self._files]
            raise NoRowsError(f"no rows in {bounded(places)}", fix="check what writes the day; load it again")
        types.require(place=_place(self._files))

    def _convert(self, rows: pa.Table, name: str, kind: ColumnType, *, place: str) -> Typed:
        if kind is ColumnType.IMAGE and self._images:
            return self._images.read(rows[name], name=name, place=place)
        return convert_column(rows, name, kind, place=place)

    def first_rows(self, count: int) -> pa.Table:
        """At most `count` typed rows; what is wrong with them is not told."""
        found: list[pa.Table] = []
        for rows in self.batches():
            found.append(rows.typed)
            if sum(table.num_rows for table in found) >= count:
                break
        return pa.concat_tables(found).slice(0, count)

    def _typed_parts(self) -> Iterator[RawRows]:
        for file in self._files:
            with readable(file.place, format=file.format):
                for part in file.parts(self.broken):
                    for first in range(0, part.num_rows, self._batch_rows):
                        yield self._typed(part.slice(first, self._batch_rows), place=file.place)

    def _typed(self, rows: pa.Table, *, place: str) -> RawRows:
        typed = {name: self._convert(rows, name, kind, place=place) for name, kind in self._columns.items()}
        wrong = {reason: mask for column in typed.values() for reason, mask in column.wrong.items()}
        swallowed = np.zeros(rows.num_rows, np.int64)
        if self._csv:
            swallowed = swallowed_lines(rows)
            wrong[UNCLOSED_QUOTE] = swallowed > 0
        return RawRows(
            typed=pa.table({name: column.values for name, column in typed.items()}),
            untyped=_fitted(rows, self.identity),
            wrong=wrong,
            swallowed=swallowed,
        )


def has_images(data: Data) -> bool:
    return ColumnType.IMAGE in data.columns.values()


def batch_rows(data: Data) -> int:
    """Rows of a batch, and of a row group of what is kept."""
    return IMAGE_BATCH_ROWS if has_images(data) else BATCH_ROWS


def convert_column(rows: pa.Table, name: str, kind: ColumnType, *, place: str) -> Typed:
    try:
        return convert(rows[name].combine_chunks(), kind, name=name)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"column {name!r} is not UTF-8: {str(error)[:200]}", fix="write the column as UTF-8", place=place
        ) from error


def _coalesced(parts: Iterable[RawRows], count: int) -> Iterator[RawRows]:
    """At least `count` rows each but the last: many small files cost no more than a large one."""
    held: list[RawRows] = []
    for part in parts:
        held.append(part)
        if sum(rows.count for rows in held) >= count:
            yield _concatenated(held)
            held = []
    if held:
        yield _concatenated(held)


def _concatenated(parts: Sequence[RawRows]) -> RawRows:
    if len(parts) == 1:
        return parts[0]
    reasons = dict.fromkeys(reason for part in parts for reason in part.wrong)
    return RawRows(
        typed=pa.concat_tables([part.typed for part in parts]).combine_chunks(),
        untyped=pa.concat_tables([part.untyped for part in parts]).combine_chunks(),
        wrong={
            reason: np.concatenate([part.wrong.get(reason, np.zeros(part.count, bool)) for part in parts])
            for reason in reasons
        },
        swallowed=np.concatenate([part.swallowed for part in parts]),
    )


def _common_schema(schemas: Sequence[pa.Schema]) -> pa.Schema:
    names = dict.fromkeys(name for schema in schemas for name in schema.names)
    return pa.schema(
        [
            (name, _common_type([schema.field(name).type for schema in schemas if name in schema.names]))
            for name in names
        ]
    )


def _common_type(types: Sequence[pa.DataType]) -> pa.DataType:
    """Columns of other types in other files are comparable as text."""
    different = list(dict.fromkeys(types))
    if len(different) == 1:
        return different[0]
    try:
        schemas = [pa.schema([("column", kind)]) for kind in different]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return pa.large_string()


def _fitted(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    return pa.table([_fitted_column(rows, field) for field in schema], schema=schema)


def _fitted_column(rows: pa.Table, wanted: pa.Field) -> pa.ChunkedArray:
    if wanted.name not in rows.column_names:
        return pa.chunked_array([pa.nulls(rows.num_rows, wanted.type)])
    column = rows[wanted.name]
    if column.type == wanted.type:
        return column
    if pa.types.is_large_string(wanted.type) and not is_text(column.type):
        return pa.chunked_array([texts(column)])
    return column.cast(wanted.type, safe=False)


def texts(column: pa.ChunkedArray, *, limit: int | None = None) -> pa.Array:
    """As text, at most `limit` characters of each value."""
    return pa.array([None if value is None else _text(value, limit) for value in column.to_pylist()], pa.large_string())


def _text(value: object, limit: int | None) -> str:
    if isinstance(value, bytes) and limit and len(value) > limit:
        return f"{len(value):,} bytes, SHA-256 {hashlib.sha256(value).hexdigest()}"
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    return text if limit is None or len(text) <= limit else f"{text[:limit]}… (cut, {len(text):,} characters)"


class _TypeCounts:
    """How many values of each column there are, and how many of them are of another type."""

    def __init__(self, columns: Mapping[str, ColumnType]) -> None:
        self._columns = columns
        self.rows = 0
        self._present = dict.fromkeys(columns, 0)
        self._mistyped = dict.fromkeys(columns, 0)
        self._examples: dict[str, list[object]] = {name: [] for name in columns}

    def add(self, rows: RawRows) -> None:
        self.rows += rows.count
        for name, kind in self._columns.items():
            self._present[name] += rows.count - rows.typed[name].null_count
            mask = rows.wrong.get(mistyped_reason(name, kind))
            if mask is not None and mask.any():
                self._mistyped[name] += int(mask.sum())
                missing = 5 - len(self._examples[name])
                shown = rows.untyped[name if name in rows.untyped.column_names else LINE]
                self._examples[name] += shown.filter(pa.array(mask)).slice(0, missing).to_pylist()

    def require(self, *, place: str) -> None:
        for name, kind in self._columns.items():
            wrong, present = self._mistyped[name], self._present[name]
            if wrong <= WRONG_TYPE_SHARE * (present + wrong):
                continue
            raise DataError(
                f"column {name!r} must be of type {kind}: {wrong:,} of {present + wrong:,} values are not. "
                f"Received: {bounded(repr(str(value)[:40]) for value in self._examples[name])}",
                fix=f"correct the source, or `data.columns.{name}` in pipeline.yaml",
                place=place,
            )


def _place(files: Sequence[RawFile]) -> str:
    return files[0].place if len(files) == 1 else f"{len(files)} files from {files[0].place}"


def empty_rows(data: Data) -> pa.Table:
    """No rows, with the columns of a RawDay."""
    return pa.table({name: pa.array([], ARROW_TYPES[kind]) for name, kind in data.columns.items()})
