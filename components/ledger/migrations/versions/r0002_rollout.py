"""Rollouts: one row each, its events, append-only and without gaps by triggers, and the split documents last written."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_TABLES = """
CREATE TABLE rollout (
  id text PRIMARY KEY CHECK (id <> ''),
  model text NOT NULL,
  number bigint NOT NULL,
  state text NOT NULL,
  seq bigint NOT NULL,
  code text NOT NULL,
  standing json NOT NULL,
  measured timestamptz,
  ticked timestamptz,
  decided json,
  tagged bigint NOT NULL DEFAULT 0,
  UNIQUE (model, number)
);
CREATE UNIQUE INDEX rollout_one_queued ON rollout (model) WHERE state IN ('registered', 'gated', 'await_approval');
CREATE UNIQUE INDEX rollout_one_active ON rollout (model)
  WHERE state IN ('shadow', 'ramp', 'promoting', 'watch', 'hold', 'rolling_back');
CREATE TABLE rollout_event (
  rollout text NOT NULL REFERENCES rollout (id),
  seq bigint NOT NULL,
  model text NOT NULL,
  time timestamptz NOT NULL,
  actor text NOT NULL CHECK (actor <> ''),
  code text NOT NULL CHECK (code <> ''),
  reason text NOT NULL,
  from_state text,
  to_state text NOT NULL,
  snapshot text NOT NULL,
  plan text NOT NULL,
  ledger_seq bigint,
  decision json NOT NULL,
  PRIMARY KEY (rollout, seq),
  CHECK ((from_state IS NULL) = (seq = 1))
);
CREATE TABLE split_projection (model text PRIMARY KEY, version bigint NOT NULL, holdback text, document json NOT NULL);
"""

# As in the ledger: a number that is taken, or leaves a gap, is the same error as a duplicate key.
_TRIGGERS = """
CREATE FUNCTION rollout_event_next() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE last rollout_event%ROWTYPE;
BEGIN
  SELECT * INTO last FROM rollout_event WHERE rollout = NEW.rollout ORDER BY seq DESC LIMIT 1;
  IF NEW.seq <> coalesce(last.seq, 0) + 1 THEN
    RAISE unique_violation USING MESSAGE = format('%s: the next event is %s, not %s', NEW.rollout, coalesce(last.seq, 0) + 1, NEW.seq);
  END IF;
  NEW.time := greatest(clock_timestamp(), last.time + interval '1 microsecond');
  RETURN NEW;
END $$;
CREATE TRIGGER next_event BEFORE INSERT ON rollout_event FOR EACH ROW EXECUTE FUNCTION rollout_event_next();
CREATE FUNCTION rollout_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE insufficient_privilege USING MESSAGE = 'events of a rollout are append-only';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rollout_event
  FOR EACH STATEMENT EXECUTE FUNCTION rollout_event_is_append_only();
"""


def upgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql(_TABLES)
    connection.exec_driver_sql(_TRIGGERS.replace("%", "%%"))
