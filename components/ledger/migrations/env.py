"""How Alembic runs a migration: on the connection, and in the transaction, of whoever asked."""

from __future__ import annotations

from alembic import context

from components.ledger.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
context.run_migrations()
