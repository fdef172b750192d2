"""The promotion ledger: who was champion when, and why. Rows in PostgreSQL that nobody changes or deletes."""
