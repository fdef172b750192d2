"""Values of one column in the declared type; what cannot be read becomes missing, and is told.

    typed = convert(column, ColumnType.INT, name="fare")
    typed.values            # int64, null where wrong
    typed.wrong             # {"fare: not of type int": mask}

Numbers in a CSV may be written in the ways of other tools; no value is rounded into its type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.contract.columns import LISTS, is_text
from pipelines.spec import ColumnType

Mask = npt.NDArray[np.bool_]

ARROW_TYPES = {
    ColumnType.INT: pa.int64(),
    ColumnType.FLOAT: pa.float64(),
    ColumnType.STRING: pa.large_string(),
    ColumnType.BOOL: pa.bool_(),
    ColumnType.INTS: pa.large_list(pa.int64()),
    ColumnType.FLOATS: pa.large_list(pa.float64()),
    ColumnType.STRINGS: pa.large_list(pa.large_string()),
    ColumnType.IMAGE: pa.large_binary(),
}
"""Type of each column in a RawDay. Floats keep all digits: a logged propensity is exact."""

LARGEST_TEXT_BYTES = 2**20
"""A longer value is a broken row, not text."""
_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_NO_NUMBER = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""What other tools write for a missing number."""
_TRUE, _FALSE = frozenset({"true", "t", "yes", "1", "1.0"}), frozenset({"false", "f", "no", "0", "0.0"})


@dataclass(frozen=True)
class Typed:
    values: pa.Array
    wrong: dict[str, Mask]
    """By reason: the rows, or the elements of lists, that are wrong and now null."""


def mistyped_reason(name: str, kind: ColumnType) -> str:
    return f"{name}: not of type {kind}"


def convert(column: pa.Array, kind: ColumnType, *, name: str) -> Typed:
    """Converts a column of a file that `columns.holds` the kind. NaN is missing.

    Raises:
        pa.ArrowInvalid: bytes that are not UTF-8.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        return Typed(column.cast(ARROW_TYPES[kind]), {})
    if kind in LISTS:
        return _convert_lists(column, kind, name=name)
    if kind is ColumnType.STRING:
        return _convert_strings(column, name=name)
    values, mistyped = _parse(column, kind) if is_text(column.type) else _cast(column, kind)
    wrong = {mistyped_reason(name, kind): mistyped}
    if kind is ColumnType.FLOAT:
        values = _without(values, as_mask(pc.is_nan(values)))
        beyond = as_mask(pc.greater(pc.abs(values), _LARGEST_FLOAT))
        values = _without(values, beyond)
        wrong[f"{name}: infinite or beyond float32"] = beyond
    return Typed(values, wrong)


def _convert_strings(column: pa.Array, *, name: str) -> Typed:
    # Bytes in between: a cast from text to text looks at nothing, and Parquet files may hold text that is no UTF-8.
    texts = column.cast(pa.large_binary()).cast(pa.large_string())
    lengths = pc.binary_length(texts)
    huge = np.zeros(len(texts), bool)
    if (pc.max(lengths).as_py() or 0) > LARGEST_TEXT_BYTES:
        huge = as_mask(pc.greater(lengths, LARGEST_TEXT_BYTES))
    return Typed(_without(texts, huge), {f"{name}: longer than {LARGEST_TEXT_BYTES:,} bytes": huge})


def _convert_lists(column: pa.Array, kind: ColumnType, *, name: str) -> Typed:
    lists = column.cast(pa.large_list(column.type.value_type))
    elements, owners = lists.flatten(), pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    inner = convert(elements, LISTS[kind], name=name)

    def of_rows(mask: Mask) -> Mask:
        rows = np.zeros(len(lists), bool)
        rows[owners[mask]] = True
        return rows

    wrong = {reason: of_rows(mask) for reason, mask in inner.wrong.items()}
    told = np.any(list(inner.wrong.values()), axis=0) if inner.wrong else np.zeros(len(elements), bool)
    wrong[f"{name}: a list with a missing element"] = of_rows(as_mask(inner.values.is_null()) & ~told)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    values = pa.LargeListArray.from_arrays(offsets, inner.values)
    return Typed(_without(values, as_mask(lists.is_null())), wrong)


def _parse(column: pa.Array, kind: ColumnType) -> tuple[pa.Array, Mask]:
    """Text to numbers: the whole column at once when it is clean, else value by value, which keeps every digit."""
    texts = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
    if kind is ColumnType.INT:
        texts = pc.replace_substring_regex(texts, r"^([+-]?\d+)\.0*$", r"\1")  # how pandas writes ints with gaps
    if kind is not ColumnType.BOOL:
        try:
            return texts.cast(ARROW_TYPES[kind]), np.zeros(len(column), bool)
        except pa.ArrowInvalid:
            pass
    found, mistyped = [], np.zeros(len(column), bool)
    for index, text in enumerate(texts.to_pylist()):
        try:
            found.append(None if text is None or text.casefold() in _NO_NUMBER else _READERS[kind](text))
        except ValueError:
            mistyped[index] = True
            found.append(None)
    return pa.array(found, ARROW_TYPES[kind]), mistyped


def _read_int(text: str) -> int:
    if not text.lstrip("+-").isdecimal() or not -(2**63) <= int(text) < 2**63:
        raise ValueError(text)
    return int(text)


def _read_float(text: str) -> float:
    if "_" in text:  # Python reads 1_000
        raise ValueError(text)
    return float(text)


def _read_bool(text: str) -> bool:
    if (folded := text.casefold()) not in _TRUE | _FALSE:
        raise ValueError(text)
    return folded in _TRUE


_READERS: dict[ColumnType, Callable[[str], int | float | bool]] = {
    ColumnType.INT: _read_int,
    ColumnType.FLOAT: _read_float,
    ColumnType.BOOL: _read_bool,
}


def _cast(column: pa.Array, kind: ColumnType) -> tuple[pa.Array, Mask]:
    """Numbers to numbers; a value that an int or a bool cannot hold is mistyped."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
        column = _without(column, as_mask(pc.is_nan(column)))
    if kind is ColumnType.FLOAT:
        return column.cast(pa.float64(), safe=False), np.zeros(len(column), bool)
    mistyped = np.zeros(len(column), bool)
    if pa.types.is_floating(column.type):
        mistyped |= as_mask(pc.not_equal(column, pc.trunc(column)))
        mistyped |= as_mask(pc.or_(pc.less(column, -(2.0**63)), pc.greater_equal(column, 2.0**63)))
    elif pa.types.is_uint64(column.type):
        mistyped |= as_mask(pc.greater(column, pa.scalar(2**63 - 1, pa.uint64())))
    values = _without(column, mistyped).cast(pa.int64())
    if kind is ColumnType.BOOL:
        mistyped |= as_mask(pc.or_(pc.less(values, 0), pc.greater(values, 1)))
        values = _without(values, mistyped).cast(pa.bool_())
    return values, mistyped


def as_mask(flags: pa.Array | pa.ChunkedArray) -> Mask:
    """`[rows]` booleans; null is false."""
    if flags.null_count:
        flags = pc.fill_null(flags, False)
    return np.asarray(
        flags.to_numpy() if isinstance(flags, pa.ChunkedArray) else flags.to_numpy(zero_copy_only=False), bool
    )


def _without(values: pa.Array, wrong: Mask) -> pa.Array:
    """`values` with null where `wrong`."""
    return pc.if_else(pa.array(wrong), pa.scalar(None, values.type), values) if wrong.any() else values
