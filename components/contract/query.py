"""Rows of a SQL database: a query a day, its values as text, streamed by a cursor of the server.

The URL comes from an environment variable. It holds a password, so no message and no file names more than the variable.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy
from sqlalchemy import exc

from components.contract.columns import LISTS
from components.contract.raw import BrokenLine
from pipelines.errors import DataError, SpecError, TransientError
from pipelines.spec import ColumnType, Source

_ROWS = 8_192


class QueryRows:
    """The rows of one day. Raises `DataError` when `required`, and there are none."""

    format = "sql"

    def __init__(
        self, source: Source, day: datetime.date, columns: Mapping[str, ColumnType], *, required: bool
    ) -> None:
        self._source, self._day, self._columns, self._required = source, day, columns, required
        assert source.query is not None
        self._query = source.query.rstrip().removesuffix(";")
        # S608: the query is the user's own.
        with executed(source, f"SELECT * FROM ({self._query}) AS day WHERE 1 = 0", day) as result:  # noqa: S608
            names = list(result.keys())
        self.schema = self.identity = pa.schema([(name, _type(columns.get(name))) for name in names])
        self.dropped: list[str] = []

    @property
    def place(self) -> str:
        return f"the query of {self._day}"

    def parts(self, broken: list[BrokenLine]) -> Iterator[pa.Table]:
        count = 0
        with executed(self._source, self._query, self._day) as result:
            for rows in result.partitions(_ROWS):
                count += len(rows)
                yield _table(rows, self.schema)
        if self._required and not count:
            raise DataError(
                f"there is no data of {self._day}: the query gives no row",
                fix="load that day, or choose a day that has some",
                place=self.place,
            )


@contextlib.contextmanager
def executed(source: Source, query: str, day: datetime.date) -> Iterator[sqlalchemy.CursorResult[Any]]:
    """Runs `query` with the day in place of `{day}`.

    Raises:
        SpecError: the variable is not set, holds no URL, or the query is wrong.
        TransientError: the database cannot be reached.
    """
    engine = _engine(source)
    try:
        # Without parameters neither a colon nor a percent sign means anything but itself.
        options = {"stream_results": True, "max_row_buffer": _ROWS, "no_parameters": True}
        with engine.connect().execution_options(**options) as connection:
            yield connection.exec_driver_sql(query.replace("{day}", str(day)))
    except (exc.OperationalError, exc.InterfaceError) as error:
        raise TransientError(
            f"the database of `{source.url_env}` does not answer: {_reason(error, engine)}",
            fix="check that it runs and lets this user in, then run the day again",
        ) from None
    except exc.DBAPIError as error:
        raise SpecError(
            f"the query failed: {_reason(error, engine)}", fix="correct `data.source.query` in pipeline.yaml"
        ) from None
    finally:
        engine.dispose()


def _engine(source: Source) -> sqlalchemy.Engine:
    url = os.environ.get(source.url_env or "")
    if not url:
        raise SpecError(
            f"`data.source.url_env` names the variable with the URL of the database. Received: {source.url_env} is not set",
            fix=f"export {source.url_env}=postgresql://user:password@host/database",
        )
    try:
        found = sqlalchemy.make_url(url)
        if found.drivername == "postgresql":  # of its drivers, this environment has psycopg2
            found = found.set(drivername="postgresql+psycopg2")
        return sqlalchemy.create_engine(found, hide_parameters=True)
    except (exc.ArgumentError, ImportError, ValueError):
        raise SpecError(
            f"{source.url_env} holds no URL of a database that a driver is installed for",
            fix=f"export {source.url_env}=postgresql://user:password@host/database",
        ) from None


def _reason(error: exc.DBAPIError, engine: sqlalchemy.Engine) -> str:
    """The driver's first line, without the password should it repeat it."""
    text = (str(error.orig).splitlines() or [type(error).__name__])[0][:300]
    return text.replace(engine.url.password, "***") if engine.url.password else text


def _type(kind: ColumnType | None) -> pa.DataType:
    if kind is ColumnType.IMAGE:
        return pa.large_binary()
    return pa.large_list(pa.large_string()) if kind in LISTS else pa.large_string()


def _table(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table(
        [
            pa.array([_value(value, field.type) for value in column], field.type)
            for column, field in zip(columns, schema, strict=True)
        ],
        schema=schema,
    )


def _value(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return [_value(item, kind.value_type) for item in value]
    if isinstance(value, bytes | memoryview):
        return bytes(value) if pa.types.is_large_binary(kind) else bytes(value).decode()
    return str(value)
