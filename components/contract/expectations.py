"""Great Expectations over the rows of a day.

    validation = validate(rows, load_expectations("shop"))
    validation.row_level    # which rows break one, and go to quarantine
    validation.day_level    # which ones the day as a whole breaks, and is refused for

An expectation about single rows sends those that break it to quarantine; with `mostly` it is about the day. All others
are about the day, and see it without the rows in quarantine. The severities `warning` and `info` refuse nothing.
"""

from __future__ import annotations

import importlib
import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import great_expectations as gx
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.expectation import (
    ColumnMapExpectation,
    ColumnPairMapExpectation,
    Expectation,
    MulticolumnMapExpectation,
)

from pipelines.errors import DaybreakError, UserCodeError, bounded

# It tells of temporary folders that hold nothing.
logging.getLogger("great_expectations").setLevel(logging.WARNING)

_ROW = "_row"
_ROW_LEVEL = (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)
_COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list", "column_set", "sum_columns")
# Kinds about the columns of the whole table.
_ALL_COLUMNS = ("expect_table_column", "expect_column_to_exist", "expect_table_columns")


@dataclass(frozen=True)
class Expected:
    """One expectation and what came of it."""

    name: str
    success: bool
    critical: bool
    observed: str | float
    rows: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Row-level ones: the numbers of the rows that break it."""


@dataclass(frozen=True)
class Validation:
    row_level: tuple[Expected, ...]
    day_level: tuple[Expected, ...]
    results: dict[str, ExpectationSuiteValidationResult]
    """For Data Docs: `rows` and `day`."""


def load_expectations(pipeline: str) -> list[Expectation]:
    """`pipelines.<pipeline>.expectations:expectations()`.

    Raises:
        UserCodeError: it cannot be imported, raises, or returns something else.
    """
    place = f"pipelines.{pipeline}.expectations"
    try:
        found = list(importlib.import_module(place).expectations())
    except DaybreakError:
        raise
    except Exception as error:
        raise UserCodeError(
            f"`expectations()` raised {type(error).__name__}: {error}",
            fix="correct that line",
            place=_line(error) or place,
        ) from error
    if wrong := [item for item in found if not isinstance(item, Expectation)]:
        raise UserCodeError(
            f"`expectations()` must return a list of Great Expectations. Received: {bounded(map(repr, wrong))}",
            fix="return e.g. [gxe.ExpectColumnValuesToBeBetween(column='price', min_value=0)]",
            place=place,
        )
    return found


def validate(rows: pa.Table, expectations: Sequence[Expectation]) -> Validation:
    """Runs all expectations in memory, those on rows first.

    Raises:
        UserCodeError: an expectation could not be computed; that is no verdict on the data.
    """
    results = {}
    row_level = [item for item in expectations if _is_row_level(item)]
    day_level = [item for item in expectations if not _is_row_level(item)]
    by_row: list[Expected] = []
    by_day: list[Expected] = []
    if row_level:
        results["rows"] = _run(rows, row_level)
        by_row = [_expected(item, of_rows=True) for item in results["rows"].results]
    if day_level:
        bad = np.unique(np.concatenate([np.zeros(0, np.int64), *(item.rows for item in by_row)]))
        rest = rows.take(np.setdiff1d(np.arange(rows.num_rows), bad)) if len(bad) else rows
        results["day"] = _run(rest, day_level)
        by_day = [_expected(item, of_rows=False) for item in results["day"].results]
    return Validation(row_level=tuple(by_row), day_level=tuple(by_day), results=results)


def _is_row_level(expectation: Expectation) -> bool:
    whole = getattr(expectation, "mostly", 1) == 1
    return isinstance(expectation, _ROW_LEVEL) and whole and _is_critical(getattr(expectation, "severity", None))


def _is_critical(severity: Any) -> bool:
    return str(getattr(severity, "value", severity) or "critical") == "critical"


def _run(rows: pa.Table, expectations: Sequence[Expectation]) -> ExpectationSuiteValidationResult:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("day").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("day").get_batch({"dataframe": _frame(rows, expectations)})
    result = batch.validate(
        gx.ExpectationSuite(name="contract", expectations=list(expectations)),
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [_ROW]},
    )
    if broken := [
        f"{_title(item)}: {message}" for item in result.results if (message := _exception(item.exception_info))
    ]:
        # Inside Great Expectations an exception looks like a failure of the data.
        raise UserCodeError(
            f"expectations could not be computed: {bounded(broken)}",
            fix="correct them in expectations.py: their column, its type, or their arguments",
        )
    return result


def _frame(rows: pa.Table, expectations: Sequence[Expectation]) -> pd.DataFrame:
    """Only the columns that are asked about: a third of the memory of a wide day."""
    named = {
        name
        for item in expectations
        for argument in _COLUMN_ARGUMENTS
        for name in _names(getattr(item, argument, None))
    }
    if any(item.expectation_type.startswith(_ALL_COLUMNS) for item in expectations):
        named = set(rows.column_names)
    frame = rows.select([name for name in rows.column_names if name in named]).to_pandas()
    frame[_ROW] = np.arange(rows.num_rows)
    return frame


def _names(argument: Any) -> list[str]:
    return [argument] if isinstance(argument, str) else [str(name) for name in argument or []]


def _expected(item: Any, *, of_rows: bool) -> Expected:
    result = item.result
    rows = np.array(sorted({entry[_ROW] for entry in result.get("unexpected_index_list") or []}), np.int64)
    observed: str | float = f"{len(rows):,} rows break it"
    if not of_rows:
        value = result.get("observed_value", result.get("unexpected_percent"))
        observed = float(value) if isinstance(value, int | float | np.number) else _short(value)
    return Expected(
        name=_title(item),
        success=bool(item.success),
        critical=_is_critical(item.expectation_config.severity),
        observed=observed,
        rows=rows if of_rows else np.zeros(0, np.int64),
    )


def _exception(info: Any) -> str:
    """`exception_info` is one record, or one for each metric."""
    records = [info] if "raised_exception" in (info or {}) else list((info or {}).values())
    raised = [str(record.get("exception_message")) for record in records if record.get("raised_exception")]
    return raised[0].splitlines()[0][:300] if raised else ""


def _title(item: Any) -> str:
    """Type and arguments in words: `price values to be between (min 0.01, max 10000)`."""
    config = item.expectation_config
    arguments = {name: value for name, value in config.kwargs.items() if name != "batch_id" and value is not None}
    column = arguments.pop("column", "")
    words = config.type.removeprefix("expect_").removeprefix("column_").replace("_", " ")
    told = ", ".join(f"{name.removesuffix('_value')} {_short(value)}" for name, value in arguments.items())
    return (f"{column} " if column else "") + words + (f" ({told})" if told else "")


def _short(value: Any) -> str:
    if isinstance(value, list | tuple | set):
        return f"[{bounded(value)}]"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def _line(error: Exception) -> str:
    """`file:line` of the innermost frame in an expectations.py."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith("expectations.py")
    ]
    inside = [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename != __file__]
    return inside[-1] if inside else ""
