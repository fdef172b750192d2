"""JSON lines, also gzipped: one object a line, a missing key is a missing value.

A row is known by its line, which also is what goes to quarantine. Blocks that hold only what is declared are read by Arrow;
in the others each value is taken as text, as from a CSV, and judged alone.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.json as pajson

from components.contract.columns import LISTS
from components.contract.raw import LINE, BrokenLine, readable, require_content
from pipelines.errors import DataError
from pipelines.spec import ColumnType
from pipelines.storage import File

_BLOCK_BYTES = 16 * 2**20
_SAMPLE_LINES = 100
_NO_JSON = object()
# Arrow's JSON knows no large types.
_TYPES = {
    ColumnType.INT: pa.int64(),
    ColumnType.FLOAT: pa.float64(),
    ColumnType.STRING: pa.string(),
    ColumnType.BOOL: pa.bool_(),
    ColumnType.INTS: pa.list_(pa.int64()),
    ColumnType.FLOATS: pa.list_(pa.float64()),
    ColumnType.STRINGS: pa.list_(pa.string()),
    ColumnType.IMAGE: pa.string(),
}


class JsonLinesFile:
    format = "jsonl"

    def __init__(self, path: File, columns: Mapping[str, ColumnType]) -> None:
        self._path, self._columns = path, columns
        self.schema = pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()])
        self.identity = pa.schema([(LINE, pa.large_string())])
        with readable(path, format=self.format):
            require_content(path)
            self.dropped = self._undeclared()

    @property
    def place(self) -> str:
        return str(self._path)

    def parts(self, broken: list[BrokenLine]) -> Iterator[pa.Table]:
        first = 1
        with self._open() as file:
            while lines := file.readlines(_BLOCK_BYTES):
                texts = _decoded(lines, first=first, path=self._path)
                first += len(lines)
                yield self._read([text for text in texts if not text.isspace()], broken)

    def _open(self) -> BinaryIO:
        if self._path.suffix == ".gz":
            return cast("BinaryIO", gzip.open(self._path.open("rb")))
        return self._path.open("rb")

    def _undeclared(self) -> list[str]:
        """Keys of the first lines that the pipeline does not read."""
        names: set[str] = set()
        with self._open() as file:
            for _, line in zip(range(_SAMPLE_LINES), file, strict=False):
                found = _parsed(line.decode(errors="replace"))
                names |= set(found) if isinstance(found, dict) else set()
        return sorted(names - set(self._columns))

    def _read(self, lines: Sequence[str], broken: list[BrokenLine]) -> pa.Table:
        block = "".join(lines).encode()
        try:
            if not block:
                return self._tables([], [], broken)
            table = pajson.read_json(
                pa.BufferReader(block),
                read_options=pajson.ReadOptions(block_size=len(block) + 1),
                parse_options=pajson.ParseOptions(explicit_schema=self.schema, unexpected_field_behavior="ignore"),
            )
        except pa.ArrowInvalid:
            table = None
        if table is None or table.num_rows != len(lines):
            return self._tables(lines, [_parsed(line) for line in lines], broken)
        return table.append_column(LINE, _lines(lines))

    def _tables(self, lines: Sequence[str], objects: Sequence[Any], broken: list[BrokenLine]) -> pa.Table:
        """All values as text."""
        reasons = [self._reason(value) for value in objects]
        broken += [
            BrokenLine(line.rstrip("\r\n"), reason) for line, reason in zip(lines, reasons, strict=True) if reason
        ]
        good = [value for value, reason in zip(objects, reasons, strict=True) if not reason]
        columns = {name: _column(good, name, kind) for name, kind in self._columns.items()}
        columns[LINE] = _lines([line for line, reason in zip(lines, reasons, strict=True) if not reason])
        return pa.table(columns)

    def _reason(self, value: Any) -> str:
        """Why it is no row; empty where it is one."""
        if not isinstance(value, dict):
            return "the line is no JSON object"
        for name, kind in self._columns.items():
            found = value.get(name)
            elements = found if isinstance(found, list) and kind in LISTS else [found]
            is_list = isinstance(found, list) or found is None
            if (kind in LISTS and not is_list) or any(isinstance(item, list | dict) for item in elements):
                return f"{name}: not of type {kind}"
        return ""


def _parsed(line: str) -> Any:
    """Numbers keep their digits: they are parsed as text later. `null` has no values, as Arrow sees it."""
    try:
        found = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return _NO_JSON
    return {} if found is None else found


def _column(rows: Sequence[Mapping[str, Any]], name: str, kind: ColumnType) -> pa.Array:
    if kind not in LISTS:
        return pa.array([_text(row.get(name)) for row in rows], pa.large_string())
    lists = [None if row.get(name) is None else [_text(item) for item in row[name]] for row in rows]
    return pa.array(lists, pa.large_list(pa.large_string()))


def _text(value: str | bool | None) -> str | None:
    return str(value).lower() if isinstance(value, bool) else value


def _lines(lines: Sequence[str]) -> pa.Array:
    return pa.array([line.rstrip("\r\n") for line in lines], pa.large_string())


def _decoded(lines: Sequence[bytes], *, first: int, path: File) -> list[str]:
    texts = []
    for number, line in enumerate(lines, start=first):
        try:
            texts.append(line.decode())
        except UnicodeDecodeError as error:
            raise DataError(
                f"not UTF-8 in line {number}", fix="convert it, e.g. with iconv -f LATIN1 -t UTF-8", place=str(path)
            ) from error
    return texts
