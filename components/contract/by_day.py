"""Expectations on a day as a whole, over its Parquet.

    results = validate_day(path, expectations)

Aggregates are computed by DuckDB, which reads the columns it needs a piece at a time. Where SQL has no such expectation, or
says something else than pandas, its columns alone are loaded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import duckdb_engine
import pyarrow.parquet as pq
from great_expectations.core import ExpectationValidationResult
from great_expectations.expectations.expectation import Expectation
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg2 import PGExecutionContext_psycopg2
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy

from components.contract.expectations import (
    columns_of,
    ephemeral_context,
    exception_of,
    run_whole,
    validate_batch,
)

_AGGREGATES = frozenset(
    f"expect_{name}"
    for name in (
        "column_mean_to_be_between",
        "column_min_to_be_between",
        "column_max_to_be_between",
        "column_sum_to_be_between",
        "column_stdev_to_be_between",
        "column_unique_value_count_to_be_between",
        "column_proportion_of_unique_values_to_be_between",
        "column_proportion_of_non_null_values_to_be_between",
        "table_row_count_to_be_between",
        "table_row_count_to_equal",
    )
)
"""Those of which SQL and pandas say the same; quantiles, for one, they interpolate differently."""
_MEMORY = "1GB"


class _Context(PGExecutionContext_psycopg2):  # type: ignore[misc]
    def post_exec(self) -> None:
        """Great Expectations closes the connection before it fetches, which DuckDB's cursors do not survive."""
        super().post_exec()  # type: ignore[no-untyped-call]
        if self.cursor.description:
            self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(
                self.cursor, initial_buffer=self.cursor.fetchall()
            )


class BufferedDialect(duckdb_engine.Dialect):  # type: ignore[misc]
    execution_ctx_cls = _Context
    supports_statement_cache = False


registry.register("duckdb.buffered", __name__, BufferedDialect.__name__)


def validate_day(path: Path, expectations: Sequence[Expectation]) -> list[ExpectationValidationResult]:
    """Results in the order of the expectations.

    Raises:
        UserCodeError: an expectation could not be computed.
    """
    found: dict[int, ExpectationValidationResult] = {}
    by_sql = [index for index, item in enumerate(expectations) if _is_aggregate(item)]
    if by_sql:
        results = _run_in_duckdb(path, [expectations[index] for index in by_sql])
        found = {index: item for index, item in zip(by_sql, results, strict=True) if _is_answered(item)}
    rest = [index for index in range(len(expectations)) if index not in found]
    if rest:
        asked = [expectations[index] for index in rest]
        rows = pq.read_table(path, columns=columns_of(asked, pq.read_schema(path).names))
        found |= dict(zip(rest, run_whole(rows, asked), strict=True))
    return [found[index] for index in range(len(expectations))]


def _is_aggregate(expectation: Expectation) -> bool:
    return expectation.expectation_type in _AGGREGATES and getattr(expectation, "row_condition", None) is None


def _is_answered(item: ExpectationValidationResult) -> bool:
    """What DuckDB cannot compute pandas may: the mean of booleans, or the sum of no values."""
    return not exception_of(item.exception_info) and item.result.get("observed_value") is not None


def _run_in_duckdb(path: Path, expectations: Sequence[Expectation]) -> list[ExpectationValidationResult]:
    with tempfile.TemporaryDirectory() as folder:
        database, link = Path(folder) / "day.duckdb", Path(folder) / "rows.parquet"
        link.symlink_to(path.absolute())  # DuckDB takes brackets in a path for a pattern
        with duckdb.connect(str(database)) as connection:
            connection.read_parquet(str(link)).create_view("rows")
        # One thread: sums of floats have one order.
        url = f"duckdb+buffered:///{database}?threads=1&memory_limit={_MEMORY}"
        source: Any = ephemeral_context().data_sources.add_sql("day", connection_string=url)
        asset = source.add_table_asset("rows")
        try:
            return validate_batch(asset.add_batch_definition_whole_table("day").get_batch(), expectations)
        finally:
            source.get_execution_engine().close()
            source.get_engine().dispose()
