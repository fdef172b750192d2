"""The ledger, append-only and without gaps by triggers, and what was last written to MLflow."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE promotion_ledger (
  model text NOT NULL,
  seq bigint NOT NULL,
  time timestamptz NOT NULL,
  event text NOT NULL CHECK (event IN ('registered', 'promoted', 'rolled_back', 'alias_moved', 'decided')),
  version text,
  previous_version text,
  day date,
  run_id text NOT NULL,
  actor text NOT NULL CHECK (actor <> ''),
  reason text NOT NULL,
  verdict text NOT NULL,
  record_digest text NOT NULL,
  PRIMARY KEY (model, seq),
  CHECK (event NOT IN ('registered', 'promoted', 'rolled_back') OR (version IS NOT NULL AND day IS NOT NULL))
);
CREATE TABLE alias_projection (model text PRIMARY KEY, seq bigint NOT NULL, aliases json NOT NULL);
"""

# The time is the database's and never runs backwards, so that the order of rows is the order of times. A number that is
# taken, or leaves a gap, is the same error as a duplicate key: the writer knew less than the ledger does.
_TRIGGERS = """
CREATE FUNCTION promotion_ledger_next() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE last promotion_ledger%ROWTYPE;
BEGIN
  SELECT * INTO last FROM promotion_ledger WHERE model = NEW.model ORDER BY seq DESC LIMIT 1;
  IF NEW.seq <> coalesce(last.seq, 0) + 1 THEN
    RAISE unique_violation USING MESSAGE = format('%s: the next row is %s, not %s', NEW.model, coalesce(last.seq, 0) + 1, NEW.seq);
  END IF;
  NEW.time := greatest(clock_timestamp(), last.time + interval '1 microsecond');
  RETURN NEW;
END $$;
CREATE TRIGGER next_row BEFORE INSERT ON promotion_ledger FOR EACH ROW EXECUTE FUNCTION promotion_ledger_next();
CREATE FUNCTION promotion_ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE insufficient_privilege USING MESSAGE = 'the promotion ledger is append-only';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON promotion_ledger
  FOR EACH STATEMENT EXECUTE FUNCTION promotion_ledger_is_append_only();
"""


def upgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql(_TABLES)
    connection.exec_driver_sql(_TRIGGERS.replace("%", "%%"))
