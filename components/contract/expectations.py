"""The expectations of a pipeline, and what came of each.

    expectations = load_expectations("shop")
    results = run_whole(rows, expectations)                     # Great Expectations over a table in memory
    outcomes = [outcome(item, of_rows=False) for item in results]

An expectation about single rows sends those that break it to quarantine; with `mostly` it is about the day. All others
are about the day, and see it without the rows in quarantine. The severities `warning` and `info` refuse nothing.
"""

from __future__ import annotations

import importlib
import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import great_expectations as gx
import numpy as np
import pandas as pd
import pyarrow as pa
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
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

ROW = "_row"
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


def is_row_level(expectation: Expectation) -> bool:
    whole = getattr(expectation, "mostly", 1) == 1
    return isinstance(expectation, _ROW_LEVEL) and whole and _is_critical(getattr(expectation, "severity", None))


def _is_critical(severity: Any) -> bool:
    return str(getattr(severity, "value", severity) or "critical") == "critical"


def run_whole(rows: pa.Table, expectations: Sequence[Expectation]) -> list[ExpectationValidationResult]:
    """Results in order, over a table in memory; those on rows list the rows that break them.

    Raises:
        UserCodeError: an expectation could not be computed; that is no verdict on the data.
    """
    context = ephemeral_context()
    asset = context.data_sources.add_pandas("day").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("day").get_batch({"dataframe": _frame(rows, expectations)})
    results = validate_batch(batch, expectations)
    require_computed((item.expectation_config, exception_of(item.exception_info)) for item in results)
    return results


def ephemeral_context() -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def validate_batch(batch: Any, expectations: Sequence[Expectation]) -> list[ExpectationValidationResult]:
    """Results in the order of the expectations."""
    suite = gx.ExpectationSuite(name="contract", expectations=list(expectations))
    result_format = {"result_format": "COMPLETE", "unexpected_index_column_names": [ROW]}
    found = batch.validate(suite, result_format=result_format).results
    # Great Expectations puts those that raised first.
    by_configuration = {_key(item.expectation_config): item for item in found}
    return [by_configuration[_key(item.configuration)] for item in expectations]


def _key(configuration: Any) -> str:
    kwargs = {name: value for name, value in configuration.kwargs.items() if name != "batch_id"}
    return f"{configuration.type} {sorted(kwargs.items(), key=str)}"


def require_computed(problems: Any) -> None:
    """Raises `UserCodeError` for pairs of a configuration and a message that is not empty."""
    # Inside Great Expectations an exception looks like a failure of the data.
    if broken := [f"{title(configuration)}: {message}" for configuration, message in problems if message]:
        raise UserCodeError(
            f"expectations could not be computed: {bounded(broken)}",
            fix="correct them in expectations.py: their column, its type, or their arguments",
        )


def suite_result(results: Sequence[ExpectationValidationResult]) -> ExpectationSuiteValidationResult:
    """What Data Docs render."""
    good = sum(bool(item.success) for item in results)
    return ExpectationSuiteValidationResult(
        success=good == len(results),
        results=list(results),
        suite_name="contract",
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": good,
            "unsuccessful_expectations": len(results) - good,
            "success_percent": 100 * good / len(results),
        },
        meta={"great_expectations_version": gx.__version__},
    )


def _frame(rows: pa.Table, expectations: Sequence[Expectation]) -> pd.DataFrame:
    frame = rows.select(columns_of(expectations, rows.column_names)).to_pandas()
    frame[ROW] = np.arange(rows.num_rows)
    return frame


def columns_of(expectations: Sequence[Expectation], columns: Sequence[str]) -> list[str]:
    """Only those of `columns` that are asked about: a third of the memory of a wide day."""
    if any(item.expectation_type.startswith(_ALL_COLUMNS) for item in expectations):
        return list(columns)
    named = {
        name
        for item in expectations
        for argument in _COLUMN_ARGUMENTS
        for name in _names(getattr(item, argument, None))
    }
    return [name for name in columns if name in named]


def _names(argument: Any) -> list[str]:
    return [argument] if isinstance(argument, str) else [str(name) for name in argument or []]


def outcome(item: ExpectationValidationResult, *, of_rows: bool) -> Expected:
    result = item.result
    observed: str | float
    if of_rows:
        observed = f"{result['unexpected_count']:,} rows break it"
    else:
        value = result.get("observed_value", result.get("unexpected_percent"))
        observed = float(value) if isinstance(value, int | float | np.number) else _short(value)
    return Expected(
        name=title(item.expectation_config),
        success=bool(item.success),
        critical=_is_critical(item.expectation_config.severity),
        observed=observed,
    )


def exception_of(info: Any) -> str:
    """`exception_info` is one record, or one for each metric."""
    records = [info] if "raised_exception" in (info or {}) else list((info or {}).values())
    raised = [str(record.get("exception_message")) for record in records if record.get("raised_exception")]
    return raised[0].splitlines()[0][:300] if raised else ""


def title(configuration: Any) -> str:
    """Type and arguments in words: `price values to be between (min 0.01, max 10000)`."""
    arguments = {
        name: value for name, value in configuration.kwargs.items() if name != "batch_id" and value is not None
    }
    column = arguments.pop("column", "")
    words = configuration.type.removeprefix("expect_").removeprefix("column_").replace("_", " ")
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
