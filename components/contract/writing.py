"""The two tables of a judged day: rows that fulfil the contract, and the quarantine. Each appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.contract.raw import LINE, BrokenLine
from components.contract.reading import RawRows, texts
from components.contract.rows import Reasons

ROWS_FILE, QUARANTINE_FILE = "rows-00000-of-00001.parquet", "quarantine.parquet"
ROW_GROUP_ROWS = 65_536
"""A row group is the unit of work of the nodes that follow."""
_CHARACTERS = 10_000
"""Of one value in quarantine: one giant value does not make a giant file."""
_REPEATED_SHARE = 0.1
"""A text column with more different values than this in its rows is written without a dictionary, which would cost a
third of the writing and save no byte."""


class TableFile:
    """A Parquet file written in pieces, at `temporary` until `publish`; the same rows are the same bytes."""

    def __init__(self, path: Path, schema: pa.Schema, *, row_group_rows: int = ROW_GROUP_ROWS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self.schema, self._group_rows = path, schema, row_group_rows
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}")
        self.row_count = 0
        self._held: list[pa.Table] = []
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with contextlib.suppress(*([] if error is None else [Exception])):
                if self._writer is not None:
                    self._writer.close()
        finally:
            self.temporary.unlink(missing_ok=True)

    def write(self, rows: pa.Table) -> None:
        self.row_count += rows.num_rows
        self._held.append(rows)
        if sum(table.num_rows for table in self._held) >= self._group_rows:
            self._write_row_groups()

    def _write_row_groups(self, *, last: bool = False) -> None:
        held = pa.concat_tables([self.schema.empty_table(), *self._held])
        while held.num_rows >= self._group_rows or (last and held.num_rows):
            # Where the pages of a column begin depends on where its chunks begin.
            rows = held.slice(0, self._group_rows).combine_chunks()
            self._open(rows).write_table(rows, row_group_size=self._group_rows)
            held = held.slice(self._group_rows)
        self._held = [held]

    def _open(self, rows: pa.Table) -> pq.ParquetWriter:
        """The first row group says how its columns are written."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self.temporary,
                self.schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=(repetitive := _repetitive_texts(rows)),
                column_encoding=_encodings(self.schema, but=repetitive),
                write_page_checksum=True,
                write_statistics=False,  # a seventh of the writing, and nobody reads them
            )
        return self._writer

    def finish(self) -> Path:
        """Writes what is left; the file is complete at the path returned, and still no output."""
        self._write_row_groups(last=True)
        self._open(self.schema.empty_table()).close()
        return self.temporary

    def publish(self) -> None:
        os.replace(self.temporary, self._path)


def _repetitive_texts(rows: pa.Table) -> list[str]:
    texts_only = [field.name for field in rows.schema if pa.types.is_large_string(field.type)]
    # A dictionary of numbers costs more than it saves.
    return [name for name in texts_only if pc.count_distinct(rows[name]).as_py() <= _REPEATED_SHARE * rows.num_rows]


def _encodings(schema: pa.Schema, *, but: Sequence[str]) -> dict[str, str]:
    """Two thirds of the time that plain numbers take, in about as many bytes."""
    found = {field.name: _encoding(field.type) for field in schema if field.name not in but}
    return {name: encoding for name, encoding in found.items() if encoding}


def _encoding(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "DELTA_BINARY_PACKED"
    return "BYTE_STREAM_SPLIT" if pa.types.is_floating(kind) else ""


def quarantine_schema(columns: Sequence[str]) -> pa.Schema:
    return pa.schema([(name, pa.large_string()) for name in dict.fromkeys([*columns, LINE, "_reasons"])])


def quarantined_rows(rows: RawRows, reasons: Reasons, numbers: npt.NDArray[np.int64]) -> pa.Table:
    """Bad rows as text with `_reasons`."""
    bad = rows.untyped.take(numbers)
    columns = {name: texts(bad[name], limit=_CHARACTERS) for name in bad.column_names}
    columns.setdefault(LINE, pa.nulls(len(numbers), pa.large_string()))
    columns["_reasons"] = pa.array(reasons.of_rows(numbers), pa.large_string())
    return pa.table(columns)


def quarantined_lines(broken: Sequence[BrokenLine], schema: pa.Schema) -> pa.Table:
    lines = pa.table({LINE: [line.text for line in broken], "_reasons": [line.reason for line in broken]})
    columns = {name: texts(lines[name], limit=_CHARACTERS) for name in lines.column_names}
    return pa.table(
        [columns.get(name, pa.nulls(len(broken), pa.large_string())) for name in schema.names], schema=schema
    )
