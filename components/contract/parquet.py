"""Parquet files, a few pages of each column at a time: a row group of a gigabyte is not loaded whole."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from components.contract.raw import BrokenLine, readable, require_content
from pipelines.storage import File, readable_by_arrow

_ROWS = 65_536


class ParquetRows:
    format = "parquet"

    def __init__(self, path: File) -> None:
        self._path = path
        with readable(path, format=self.format):
            require_content(path)
            self.schema: pa.Schema = pq.read_schema(readable_by_arrow(path)).remove_metadata()
        self.identity, self.dropped = self.schema, list[str]()

    @property
    def place(self) -> str:
        return str(self._path)

    def parts(self, broken: list[BrokenLine]) -> Iterator[pa.Table]:
        with pq.ParquetFile(readable_by_arrow(self._path)) as file:
            for batch in file.iter_batches(batch_size=_ROWS):
                yield pa.Table.from_batches([batch])
