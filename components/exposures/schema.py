"""The columns of the log: one row for each answer of a gateway, one for each outcome.

    <log>/exposures/day=2026-01-05/<gateway>-<number>.parquet      EXPOSURES
    <log>/outcomes/day=2026-01-05/<gateway>-<number>.parquet       OUTCOMES

Days are of the event's time, UTC. Ids make duplicates harmless: whoever reads takes each id once.
"""

from __future__ import annotations

import pyarrow as pa

EXPOSURES = pa.schema(
    [
        ("decision_id", pa.string()),
        ("time", pa.int64()),  # microseconds since 1970, UTC
        ("model", pa.string()),
        ("unit_id", pa.string()),
        ("rollout_id", pa.string()),  # empty: no rollout was on
        ("arm", pa.string()),  # `components.assignment.split.Arm`
        ("assigned_version", pa.string()),
        ("served_version", pa.string()),
        ("split_version", pa.int64()),
        ("fallback", pa.string()),  # why another version than the assigned one answered; else empty
        ("latency", pa.float64()),  # milliseconds, of the engine alone
        ("kind", pa.string()),  # `decide` (a list was drawn) or `predict`
        ("policy_id", pa.string()),
        ("exploration", pa.string()),  # `softmax+epsilon`; empty where nothing was drawn
        ("temperature", pa.float64()),
        ("epsilon", pa.float64()),
        ("candidate_ids", pa.list_(pa.string())),  # those shown, from the top, then the rest
        ("scores", pa.list_(pa.float64())),  # what the model predicted, in the order of `candidate_ids`
        ("propensities", pa.list_(pa.float64())),  # of each place that was filled, given those above it
        ("floors", pa.list_(pa.float64())),  # least probability that any candidate had there
        ("normalisers", pa.list_(pa.float64())),  # sum of exp(logit / temperature) over those left
        ("context", pa.string()),  # JSON as the client sent it: columns of the request
        ("candidates", pa.string()),  # JSON: columns of each candidate, in the order of `candidate_ids`
    ]
)

OUTCOMES = pa.schema(
    [
        ("outcome_id", pa.string()),  # of the client; the same id is the same outcome
        ("decision_id", pa.string()),
        ("item_id", pa.string()),  # empty: of the whole decision
        ("name", pa.string()),  # such as `clicked`
        ("value", pa.float64()),
        ("time", pa.int64()),  # microseconds since 1970, UTC: when it happened
        ("received", pa.int64()),  # microseconds: when a gateway took it
    ]
)
