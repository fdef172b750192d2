"""The tables of rollouts, in the ledger's database: the row, its events, and the split document last written."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, DateTime, Table, Text

from components.ledger.tables import metadata

rollout = Table(
    "rollout",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("number", BigInteger, nullable=False),  # 1, 2, 3 … of the model
    Column("state", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("code", Text, nullable=False),  # of the event that led to the state
    Column("standing", JSON, nullable=False),
    # What follows is remembered between ticks, and is no part of the truth.
    Column("measured", DateTime(timezone=True)),  # as_of of the last snapshot that could be made
    Column("ticked", DateTime(timezone=True)),
    Column("decided", JSON),  # by the last tick, also when nothing moved
    Column("tagged", BigInteger, nullable=False),  # events up to this one are shown by tags in MLflow
)

rollout_event = Table(
    "rollout_event",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("model", Text, nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("snapshot", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("ledger_seq", BigInteger),
    Column("decision", JSON, nullable=False),
)

split_projection = Table(
    "split_projection",
    metadata,
    Column("model", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("holdback", Text),
    Column("document", JSON, nullable=False),
)
