"""Where the rows of a day come from: `data.source`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipelines.spec.base import CREDENTIALS, Frozen

MAX_BYTES_BILLED = 2**40


class Source(Frozen):
    format: Literal["parquet", "csv", "jsonl", "tfrecord", "sql", "bigquery"]
    """`jsonl` and `tfrecord` (of tf.Examples) may be gzipped: then their names end in `.gz`."""
    path: str = ""
    """File, or glob with `{day}` for files partitioned by day; `${NAME:-default}` is read from the environment.
    Local, or a URI: `s3://`, `gs://` or `hdfs://`, without credentials, which come from the environment (docs/storage.md)."""
    query: str | None = None
    """For `sql` and `bigquery`: gives the rows of `{day}`, in an order of its own (`ORDER BY`) if runs are to be equal."""
    version_query: str | None = None
    """For both: a cheap query that answers otherwise when the rows of `{day}` have changed, such as a count and the
    latest change. Without it no result is reused: every run reads the rows again."""
    url_env: str | None = None
    """For `sql`: the environment variable that holds the URL of the database, password included. It is written nowhere."""
    project: str = ""
    """For `bigquery`: who pays; `${NAME:-default}` is read from the environment. Default: the project of the credentials,
    which are Google's Application Default Credentials."""
    max_bytes_billed: Annotated[int, Field(ge=1)] = MAX_BYTES_BILLED
    """For `bigquery`: a query that would read more is refused before it costs anything."""
    time_column: str | None = None
    """For one file that holds many days: the column that says when a row happened."""
    time_format: Literal["iso", "epoch_seconds"] = "iso"
    window_days: Annotated[int, Field(ge=1, le=366)] = 1
    """Days of data one model learns from, the data day included."""

    @model_validator(mode="after")
    def _one_kind_of_place(self) -> Self:
        if self.format == "sql" and (self.path or not self.query or not self.url_env):
            raise ValueError("`format: sql` needs `query` and `url_env`, and has no `path`; a path is for files")
        if self.format == "bigquery" and (self.path or not self.query or self.url_env):
            raise ValueError("`format: bigquery` needs `query`, and has neither `path` nor `url_env`")
        if not self.is_query and (not self.path or self.query or self.url_env or self.version_query):
            raise ValueError(
                f"`format: {self.format}` needs `path`; `query`, `version_query` and `url_env` are for `format: sql`"
            )
        if self.format != "bigquery" and (self.project or self.max_bytes_billed != MAX_BYTES_BILLED):
            raise ValueError(f"`format: {self.format}` has no `project` or `max_bytes_billed`; remove them")
        return self

    @property
    def is_query(self) -> bool:
        return self.format in ("sql", "bigquery")

    @field_validator("path")
    @classmethod
    def _no_credentials(cls, path: str) -> str:
        if CREDENTIALS.search(path):
            raise ValueError("a URI must not hold credentials; they come from the environment, see docs/storage.md")
        return path

    @model_validator(mode="after")
    def _one_way_to_find_a_day(self) -> Self:
        place = "query" if self.is_query else "path"
        if ("{day}" in (self.query or self.path)) == (self.time_column is not None):
            raise ValueError(
                f"a day is found either by `{{day}}` in `{place}` or by `time_column`, and by exactly one of them; "
                "remove the other"
            )
        return self
