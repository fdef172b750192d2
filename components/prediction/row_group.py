"""One row group of a Parquet file as a source of rows; lists of one value, as examples have them, become the value."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.contract.columns import LISTS, is_list
from components.contract.raw import BrokenLine, readable, require_content
from components.contract.records import single
from pipelines.errors import DataError
from pipelines.spec import Data
from pipelines.storage import File, readable_by_arrow

_ROWS = 65_536
_BUFFER_BYTES = 2**20


class RowGroupRows:
    format = "parquet"

    def __init__(self, path: File, number: int, data: Data, *, keep: Collection[str] | None) -> None:
        """`keep`: columns to read beside those of `data`; None: all."""
        self._path, self._number = path, number
        with readable(path, format=self.format):
            require_content(path)
            found: pa.Schema = pq.read_schema(readable_by_arrow(path)).remove_metadata()
        self._unlisted = {
            field.name
            for field in found
            if field.name in data.columns and data.columns[field.name] not in LISTS and is_list(field.type)
        }
        wanted = [field for field in found if keep is None or field.name in data.columns or field.name in keep]
        self._names = [field.name for field in wanted]
        self.schema = pa.schema([self._plain(field) for field in wanted])
        self.identity, self.dropped = self.schema, [name for name in found.names if name not in self._names]

    @property
    def place(self) -> str:
        return str(self._path)

    def parts(self, broken: list[BrokenLine]) -> Iterator[pa.Table]:
        with pq.ParquetFile(
            readable_by_arrow(self._path), buffer_size=_BUFFER_BYTES, page_checksum_verification=True
        ) as file:
            batches = file.iter_batches(_ROWS, row_groups=[self._number], columns=self._names, use_threads=False)
            for batch in batches:
                yield pa.table({name: self._column(name, batch.column(name)) for name in self._names})

    def _plain(self, field: pa.Field) -> pa.Field:
        return pa.field(field.name, field.type.value_type) if field.name in self._unlisted else field

    def _column(self, name: str, column: pa.Array) -> pa.Array:
        if name not in self._unlisted:
            return column
        if (pc.max(pc.list_value_length(column)).as_py() or 0) > 1:
            raise DataError(
                f"column {name!r} holds several values in a row where one is declared",
                fix="write one value a row, or declare a list in `data.columns` and retrain",
                place=self.place,
            )
        return single(column.cast(pa.large_list(column.type.value_type)))
