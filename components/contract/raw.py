"""What every source format gives: a schema before the first row, then the rows in order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from pipelines.errors import DataError
from pipelines.storage import File, size_of
from pipelines.storage_errors import explained

LINE = "_line"
"""The line of a row or of what is none, where a format has lines."""


@dataclass(frozen=True)
class BrokenLine:
    """A line that cannot be split into values, with the lines its open quote pulls in."""

    text: str
    reason: str

    @property
    def line_count(self) -> int:
        return self.text.strip("\r\n").count("\n") + 1


class RawFile(Protocol):
    format: str

    @property
    def place(self) -> str:
        """What an error names: a path, or a query without its credentials."""

    @property
    def schema(self) -> pa.Schema:
        """Its columns, as they are checked against the declared ones."""

    @property
    def identity(self) -> pa.Schema:
        """The columns by which rows are told apart, and that go to quarantine."""

    @property
    def dropped(self) -> Sequence[str]:
        """Columns that the reader knows of and leaves out."""

    def parts(self, broken: list[BrokenLine]) -> Iterator[pa.Table]:
        """The rows in order, in tables of bounded size; adds what is no row to `broken`."""


@contextlib.contextmanager
def readable(path: File | str, *, format: str) -> Iterator[None]:
    """Turns what a reader raises into the user's terms. A broken disk is not broken data."""
    try:
        with explained(str(path)):
            yield
    except PermissionError as error:
        raise DataError("no permission to read the file", fix="give this user read access", place=str(path)) from error
    except (pa.ArrowException, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(
            f"not readable as {format}: {(str(error) or type(error).__name__).splitlines()[0][:200]}",
            fix="write the file again: it is truncated, damaged or of another format than `data.source.format` says",
            place=str(path),
        ) from error


def require_content(path: File) -> None:
    if size_of(path) == 0:
        raise DataError("the file is empty (0 bytes)", fix="check what writes the day; load it again", place=str(path))
