"""Rows of BigQuery: a query a day, asked for its price first, streamed as Arrow.

    rows = BigQueryRows(source, day, required=True)
    rows.schema, rows.scanned_bytes          # of a dry run, which is free

Credentials are Google's Application Default Credentials. With BIGQUERY_EMULATOR_HOST an emulator is asked, without any.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from google.api_core import exceptions
from google.auth import credentials as credentials_types
from google.auth import exceptions as auth_exceptions
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from components.contract.raw import BrokenLine
from pipelines.errors import DataError, SpecError, TransientError
from pipelines.settings import Settings
from pipelines.spec import Source

_RETRY_SECS = 120
"""How long a service that does not answer is asked again; then the node's own retries begin."""
_TYPES = {
    "BOOLEAN": pa.bool_(),
    "BOOL": pa.bool_(),
    "INTEGER": pa.int64(),
    "INT64": pa.int64(),
    "FLOAT": pa.float64(),
    "FLOAT64": pa.float64(),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal256(76, 38),
    "STRING": pa.large_string(),
    "BYTES": pa.large_binary(),
    "DATE": pa.large_string(),
    "DATETIME": pa.large_string(),
    "TIME": pa.large_string(),
    "TIMESTAMP": pa.large_string(),
}
"""Other columns (structs, JSON, geography, ranges) are dropped: what is needed of them belongs into the query."""


class BigQueryRows:
    """The rows of one day.

    Raises:
        SpecError: the query is wrong, would read too much, or may not be asked by these credentials.
        DataError: `required`, and there are no rows.
        TransientError: BigQuery does not answer.
    """

    format = "bigquery"

    def __init__(self, source: Source, day: datetime.date, *, required: bool) -> None:
        assert source.query is not None
        self._source, self._day, self._required = source, day, required
        self._query = source.query.replace("{day}", str(day))
        with _client(source) as client:
            dry = client.query(self._query, _configuration(source, dry_run=True), retry=_retry(), job_retry=None)
            fields, self.scanned_bytes = dry.schema or [], int(dry.total_bytes_processed or 0)
        if self.scanned_bytes > source.max_bytes_billed:
            raise SpecError(
                f"the query must read at most {source.max_bytes_billed:,} bytes. Received: {self.scanned_bytes:,} bytes",
                fix="read fewer columns and partitions in it, or raise `data.source.max_bytes_billed`",
                place=self.place,
            )
        types = {field.name: _type(field) for field in fields}
        self.schema = self.identity = pa.schema([(name, kind) for name, kind in types.items() if kind is not None])
        self.dropped = [name for name, kind in types.items() if kind is None]

    @property
    def place(self) -> str:
        return f"the query of {self._day}"

    def parts(self, broken: list[BrokenLine]) -> Iterator[pa.Table]:
        count = 0
        with _client(self._source) as client:
            # The same query again within a day, by whatever run, is answered from BigQuery's cache: free.
            rows = client.query_and_wait(self._query, job_config=_configuration(self._source), retry=_retry())
            for batch in rows.to_arrow_iterable(bqstorage_client=_storage_client(client)):
                count += batch.num_rows
                yield pa.Table.from_batches([batch]).select(self.schema.names).cast(self.schema)
        if self._required and not count:
            raise DataError(
                f"there is no data of {self._day}: the query gives no row",
                fix="load that day, or choose a day that has some",
                place=self.place,
            )


def answer(source: Source, query: str, day: datetime.date) -> str:
    """What a small query says, as text."""
    with _client(source) as client:
        rows = client.query_and_wait(
            query.replace("{day}", str(day)), job_config=_configuration(source), retry=_retry()
        )
        return str([tuple(row.values()) for row in rows])


@contextlib.contextmanager
def _client(source: Source) -> Iterator[bigquery.Client]:
    """A client, and its errors in the user's terms."""
    anonymous = credentials_types.AnonymousCredentials() if _is_emulator() else None  # type: ignore[no-untyped-call]
    project = Settings.from_environment().expand(source.project) or None
    try:
        with contextlib.closing(bigquery.Client(project=project, credentials=anonymous)) as client:
            yield client
    except exceptions.ClientError as error:
        raise SpecError(
            f"BigQuery refuses the query: {_reason(error)}",
            fix="correct `data.source.query` in pipeline.yaml, or give these credentials the right to ask it",
        ) from error
    except auth_exceptions.DefaultCredentialsError as error:
        raise SpecError(
            "BigQuery needs Google's Application Default Credentials. Received: none",
            fix="`gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a key file",
        ) from error
    except (OSError, exceptions.GoogleAPICallError, exceptions.RetryError, auth_exceptions.GoogleAuthError) as error:
        raise TransientError(
            f"BigQuery does not answer: {_reason(error)}",
            fix="check the network and its status, then run the day again",
        ) from error


def _is_emulator() -> bool:
    return "BIGQUERY_EMULATOR_HOST" in os.environ


def _storage_client(client: bigquery.Client) -> Any:
    """Arrow from the server, in parallel; by REST every row would be parsed in Python. Emulators speak REST."""
    if _is_emulator():
        return None
    from google.cloud import bigquery_storage

    return bigquery_storage.BigQueryReadClient(credentials=client._credentials)


def _configuration(source: Source, *, dry_run: bool = False) -> bigquery.QueryJobConfig:
    if dry_run:
        return bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
    return bigquery.QueryJobConfig(maximum_bytes_billed=source.max_bytes_billed)


def _retry() -> Any:
    return DEFAULT_RETRY.with_timeout(_RETRY_SECS)


def _type(field: bigquery.SchemaField) -> pa.DataType | None:
    kind = _TYPES.get(field.field_type)
    return pa.large_list(kind) if kind is not None and field.mode == "REPEATED" else kind


def _reason(error: Exception) -> str:
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0][:300]
