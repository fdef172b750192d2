"""Parquet files, a few pages of each column at a time: a row group of a gigabyte is not loaded whole."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from components.contract.raw import BrokenLine, readable, require_content
from pipelines.storage import File, readable_by_arrow

_ROWS = 65_536
_BUFFER_BYTES = 2**20
"""Read at once of each column. Without it Arrow holds the row group as it lies on disk: 1.1 GB instead of 0.1."""


class ParquetRows:
    format = "parquet"

    def __init__(self, path: File, *, rows: int = _ROWS) -> None:
        """`rows`: read at a time, at most."""
        self._path, self._rows = path, rows
        with readable(path, format=self.format):
            require_content(path)
            self.schema: pa.Schema = pq.read_schema(readable_by_arrow(path)).remove_metadata()
        self.identity, self.dropped = self.schema, list[str]()

    @property
    def place(self) -> str:
        return str(self._path)

    def parts(self, broken: list[BrokenLine]) -> Iterator[pa.Table]:
        with pq.ParquetFile(
            readable_by_arrow(self._path), buffer_size=_BUFFER_BYTES, page_checksum_verification=True
        ) as file:
            for batch in file.iter_batches(batch_size=self._rows):
                yield pa.Table.from_batches([batch])
