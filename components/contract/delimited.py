"""CSV files: every value as text, and the lines that cannot be split into values."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from components.contract.raw import BrokenLine, readable, require_content
from pipelines.errors import DataError, bounded
from pipelines.storage import File, readable_by_arrow, size_of

# A line has to fit into a block, so this is also the longest line.
LINE_BYTES = 32 * 2**20
UNCLOSED_QUOTE = "a quote is not closed: the row holds further lines"


class DelimitedFile:
    """All columns as text: types are judged later, value by value. Nothing between two commas is null.

    Raises:
        DataError: not UTF-8, a name twice in the header, a line without end, or the file ends within a row.
    """

    format = "csv"

    def __init__(self, path: File) -> None:
        self._path = path
        with readable(path, format=self.format), self._explained():
            require_content(path)
            self._names = _header(path)
        self.schema = self.identity = pa.schema([(name, pa.large_string()) for name in self._names])
        self.dropped: list[str] = []

    @property
    def place(self) -> str:
        return str(self._path)

    def parts(self, broken: list[BrokenLine]) -> Iterator[pa.Table]:
        if _is_header_only(self._path):
            return
        invalid: list[pacsv.InvalidRow] = []

        def keep(row: pacsv.InvalidRow) -> str:
            broken.append(BrokenLine(row.text, _reason(row)))
            invalid[:] = [row]
            return "skip"

        with self._explained():
            with self._open(keep) as reader:
                for batch in reader:
                    yield pa.Table.from_batches([batch])
            if invalid and _ends_within(self._path, invalid[-1]):
                _raise_truncated(invalid[-1], self._path)

    def _open(self, keep: Callable[[pacsv.InvalidRow], str]) -> pacsv.CSVStreamingReader:
        return pacsv.open_csv(
            readable_by_arrow(self._path),
            # One thread, so that lines are numbered and come in order.
            read_options=pacsv.ReadOptions(block_size=LINE_BYTES, use_threads=False),
            parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=keep),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(self._names, pa.large_string()), strings_can_be_null=True, null_values=[""]
            ),
        )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise _explained(error, self._path) from error


def _raise_truncated(last: pacsv.InvalidRow, path: File) -> NoReturn:
    raise DataError(
        f"the file is truncated: line {last.number} ends after {last.actual_columns} of {last.expected_columns} values",
        fix="write the file again",
        place=str(path),
    )


def swallowed_lines(rows: pa.Table) -> npt.NDArray[np.int64]:
    """`[rows]`: lines of other rows inside a value, because its quote is closed only by the quote of a later row.

    Such a value has the commas of the rest of its own row, of whole rows, and of the begin of the last one; a table of
    fewer than four columns has too few commas to tell it from a text of several lines.
    """
    counts = np.zeros(rows.num_rows, np.int64)
    if rows.num_columns < 4:
        return counts
    for index, column in enumerate(rows.columns):
        breaks = pc.fill_null(pc.match_substring(column, "\n"), False).to_numpy()
        for row in np.flatnonzero(breaks):
            commas = [line.count(",") for line in column[int(row)].as_py().split("\n")]
            whole = rows.num_columns - 1
            if commas == [whole - index, *[whole] * (len(commas) - 2), index]:
                counts[row] += len(commas) - 1
    return counts


def _header(path: File) -> list[str]:
    with path.open("rb") as file:
        line = file.readline(LINE_BYTES)
    if b"\0" in line:
        raise DataError(
            "not UTF-8: it holds NUL bytes", fix="convert it, e.g. with iconv -f UTF-16 -t UTF-8", place=str(path)
        )
    names: list[str] = pacsv.read_csv(pa.BufferReader(line.rstrip(b"\r\n") + b"\n")).column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"the header names {bounded(map(repr, twice))} twice", fix="rename one of them", place=str(path)
        )
    return names


def _is_header_only(path: File) -> bool:
    with path.open("rb") as file:
        file.readline()
        return not file.read(4096).strip()


def _explained(error: Exception, path: File) -> Exception:
    """The error in the user's terms; Arrow's own where there are none better."""
    if "straddling" in str(error):
        return DataError(
            f"a line is longer than {LINE_BYTES:,} bytes, or a quote in it is never closed",
            fix="correct that line",
            place=str(path),
        )
    if line := _line_beyond_utf8(path):
        return DataError(
            f"not UTF-8 in line {line}", fix="convert it, e.g. with iconv -f LATIN1 -t UTF-8", place=str(path)
        )
    return pa.ArrowInvalid(str(error))


def _line_beyond_utf8(path: File) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 0


def _ends_within(path: File, row: pacsv.InvalidRow) -> bool:
    """Whether the file stops in the middle of `row`: it has too few values, and no line break follows."""
    tail = row.text.encode()
    with path.open("rb") as file:
        file.seek(max(0, size_of(path) - len(tail)))
        return row.actual_columns < row.expected_columns and file.read() == tail


def _reason(row: pacsv.InvalidRow) -> str:
    if "\n" in row.text.strip("\r\n"):
        return UNCLOSED_QUOTE
    return f"the line has {row.actual_columns} values, the header {row.expected_columns}"
