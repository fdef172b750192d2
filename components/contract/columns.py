"""The columns of one file against the declared ones: names and kinds, before any value is looked at."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import pyarrow as pa

from pipelines.errors import DataError, SpecError, bounded
from pipelines.spec import ColumnType

LISTS = {ColumnType.INTS: ColumnType.INT, ColumnType.FLOATS: ColumnType.FLOAT, ColumnType.STRINGS: ColumnType.STRING}
"""List types and the type of their elements."""


def require_columns(schema: pa.Schema, declared: Mapping[str, ColumnType], *, place: str) -> None:
    """Checks a file's columns.

    Raises:
        DataError: a declared column is missing, or has a type that cannot hold what is declared.
    """
    extra = [name for name in schema.names if name not in declared]
    if missing := [name for name in declared if name not in schema.names]:
        raise DataError(
            f"columns are missing: {bounded(_with_guess(name, extra) for name in missing)}. "
            f"Received: {bounded(schema.names, limit=30)}",
            fix="write the day with these columns, or correct `data.columns` in pipeline.yaml",
            place=place,
        )
    if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise DataError(f"the file has several columns {bounded(twice)}", fix="rename one of them", place=place)
    wrong = [
        f"{name!r} is {schema.field(name).type}, declared {kind}"
        for name, kind in declared.items()
        if not holds(schema.field(name).type, kind)
    ]
    if wrong:
        raise DataError(
            f"columns have wrong types: {bounded(wrong)}",
            fix="write the day with the declared types, or correct `data.columns` in pipeline.yaml",
            place=place,
        )


def require_no_lists(declared: Mapping[str, ColumnType]) -> None:
    """A CSV has no lists."""
    if lists := [f"{name}: {kind}" for name, kind in declared.items() if kind in LISTS]:
        raise SpecError(
            f"`data.columns` declares lists, which a CSV file cannot hold. Received: {bounded(lists)}",
            fix="use `format: parquet`, or declare them `string` and split them in features.py",
        )


def _with_guess(name: str, others: Sequence[str]) -> str:
    folded = {other.strip().casefold(): other for other in others}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return f"{name!r} (is it now {folded[close[0]]!r}?)" if close else repr(name)


def holds(found: pa.DataType, kind: ColumnType) -> bool:
    """Whether a column of type `found` can hold `kind`; text is parsed."""
    types = pa.types
    if types.is_null(found):
        return True  # no value at all: the check of empty columns has the better words
    if types.is_dictionary(found):
        return holds(found.value_type, kind)
    if kind in LISTS:
        return is_list(found) and holds(found.value_type, LISTS[kind])
    if is_text(found):
        return True
    number = types.is_integer(found) or types.is_floating(found) or types.is_boolean(found)
    return kind not in (ColumnType.STRING, ColumnType.IMAGE) and (
        number or (kind is ColumnType.FLOAT and types.is_decimal(found))
    )


def is_text(found: pa.DataType) -> bool:
    types = pa.types
    return (
        types.is_string(found)
        or types.is_large_string(found)
        or types.is_string_view(found)
        or types.is_binary(found)
        or types.is_large_binary(found)
    )


def is_list(found: pa.DataType) -> bool:
    return pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found)
