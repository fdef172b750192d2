"""The two tables: the ledger itself, and what its projection last wrote to MLflow."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Date, DateTime, MetaData, Table, Text

HEAD = "0002"
"""The newest migration; a database at this revision is used without loading Alembic."""
VERSION_TABLE = "ledger_revision"

metadata = MetaData()

promotion_ledger = Table(
    "promotion_ledger",
    metadata,
    Column("model", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("event", Text, nullable=False),
    Column("version", Text),
    Column("previous_version", Text),
    Column("day", Date),
    Column("run_id", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("record_digest", Text, nullable=False),
)

alias_projection = Table(
    "alias_projection",
    metadata,
    Column("model", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("aliases", JSON, nullable=False),
)
