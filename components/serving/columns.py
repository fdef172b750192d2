"""The raw columns that a model takes: what a row of a request may hold, and the tensors that rows become.

    Row = row_type(columns)                                        # a msgspec struct, a field for each column
    rows = msgspec.json.decode(b'[{"price": 9.5}]', type=list[Row])
    to_arrays(columns, rows)                                       # an array for each column, `[rows, values]`

Both orders of fields are that of `columns`, so that a row is a tuple of values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

Kind = Literal["float", "int", "text"]

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_INT64 = np.iinfo(np.int64)
PADDING: dict[Kind, Any] = {"text": b"", "int": int(_INT64.min), "float": float("nan")}
"""As in `components.training.export.MISSING`, by type of column. A request cannot hold a NaN."""
_DTYPES: dict[Kind, Any] = {"text": object, "int": np.int64, "float": np.float32}


class Binary(Struct, forbid_unknown_fields=True):  # type: ignore[call-arg]
    """A text that is not UTF-8, as TensorFlow Serving's REST interface writes it: `{"b64": "…"}`."""

    b64: bytes


_VALUES: dict[Kind, Any] = {
    # Larger ones would be infinite in the float32 that the model takes.
    "float": Annotated[float, Meta(ge=-_FLOAT32_MAX, le=_FLOAT32_MAX)],
    "int": Annotated[int, Meta(ge=int(_INT64.min), le=int(_INT64.max))],
    "text": str | Binary,
}


@dataclass(frozen=True)
class Column:
    name: str
    kind: Kind
    shape: tuple[int, ...] | None
    """Of the values of one row; None: any number of values, also none."""


class AmbiguousError(ValueError):
    """A value that is there looks like padding, which only a tf.Example can tell apart."""


def row_type(columns: Sequence[Column]) -> type[Struct]:
    """The struct of a row. A column with a shape is required; unknown columns are refused."""
    fields: list[Any] = []
    for index, column in enumerate(columns):
        kind = _row_values(column)
        fields.append((f"c{index}", kind) if column.shape is not None else (f"c{index}", kind, None))
    names = {f"c{index}": column.name for index, column in enumerate(columns)}
    return msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False)


def _row_values(column: Column) -> Any:
    value = _VALUES[column.kind]
    if column.shape is None:
        return None | value | list[value]  # type: ignore[valid-type]
    whole = value
    for size in reversed(column.shape):
        whole = Annotated[list[whole], Meta(min_length=size, max_length=size)]  # type: ignore[valid-type]
    return value | whole if column.shape == (1,) else whole


def values_of(column: Column, value: Any, *, padded: bool = False) -> list[Any]:
    """The values that a row has of a column, flat, texts as bytes; without padding where the client pads."""
    values = _plain_values(value if type(value) is list else [value])
    if padded and column.shape is None:
        return [item for item in values if item != PADDING[column.kind]]
    return values


def _plain_values(values: Sequence[Any]) -> list[Any]:
    """Flat, texts as bytes."""
    kinds = set(map(type, values))
    # The usual ones without a Python call for each value: a quarter of what a list of 40 candidates takes.
    if kinds == {str}:
        return list(map(str.encode, values))
    return list(values) if kinds <= {int, float} else [_plain(item) for item in _flat(list(values))]


def _flat(value: Any) -> Iterator[Any]:
    if value is None:
        return
    if type(value) is list:
        for item in value:
            yield from _flat(item)
    else:
        yield value


def _plain(value: Any) -> Any:
    if type(value) is str:
        return value.encode()
    return value.b64 if type(value) is Binary else value


def to_arrays(columns: Sequence[Column], rows: Sequence[Struct]) -> list[npt.NDArray[Any]]:
    """What the signature `serve_columns` takes, in the order of `columns`. Rows may have more fields behind those.

    Raises:
        AmbiguousError: a row holds a value that the signature would take for padding.
    """
    by_column = zip(*map(msgspec.structs.astuple, rows), strict=True)
    return [
        _dense(column, values) if column.shape is not None else _padded(column, values)
        for column, values in zip(columns, by_column, strict=False)
    ]


def _dense(column: Column, values: Sequence[Any]) -> npt.NDArray[Any]:
    assert column.shape is not None
    return np.array(_plain_values(values), _DTYPES[column.kind]).reshape(len(values), *column.shape)


def _padded(column: Column, values: Sequence[Any]) -> npt.NDArray[Any]:
    padding = PADDING[column.kind]
    if set(map(type, values)) <= {str, int, float}:
        lists = [[value] for value in _plain_values(values)]
    else:
        lists = [values_of(column, value) for value in values]
    if any(padding in found for found in lists):
        raise AmbiguousError(f"{column.name!r} holds a value that also means padding")
    width = max(1, *map(len, lists)) if len(lists) > 1 else max(1, len(lists[0]))
    return np.array([found + [padding] * (width - len(found)) for found in lists], _DTYPES[column.kind])
