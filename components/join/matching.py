"""Step 2: in the bucket of a decision, answers meet their outcomes; what is left goes to the bucket of its unit."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.join import question as codes
from components.join.pieces import BUCKETS, column, first_of_each, gathered, hashes, numbers, scattered
from components.join.question import GAINS, OUTCOMES, Question
from components.join.shredding import EXPOSURES_PIECE, OUTCOMES_PIECE, UNREADABLE, Piece
from components.join.traffic import Traffic, latency_bins

VISITS_PIECE, GAINS_PIECE, TRAFFIC_PIECE = "visits", "gains", "traffic"


class Match(beam.DoFn):  # type: ignore[misc]
    """Buckets from `BUCKETS` on hold what is of no unit."""

    def __init__(self, question: Question) -> None:
        self._question = question

    def process(self, element: tuple[int, Sequence[Piece]]) -> Iterator[tuple[int, Piece]]:
        bucket, pieces = element
        if bucket >= BUCKETS:
            traffic = Traffic(unreadable=sum(kind == UNREADABLE for kind, _ in pieces))
        else:
            exposures, twice = first_of_each(
                gathered([piece for kind, piece in pieces if kind == EXPOSURES_PIECE], self._question.exposures),
                ["decision_id"],
                ["time"],
            )
            outcomes, again = first_of_each(
                gathered([piece for kind, piece in pieces if kind == OUTCOMES_PIECE], OUTCOMES),
                ["decision_id", "outcome_id"],
                ["received", "time"],
            )
            traffic = _traffic(exposures, duplicates=twice + again)
            gains, traffic.orphans = self._gains(exposures, outcomes)
            for unit_bucket, piece in scattered(gains, "unit_id"):
                yield unit_bucket, (GAINS_PIECE, piece)
            for unit_bucket, piece in scattered(self._visits(exposures), "unit_id"):
                yield unit_bucket, (VISITS_PIECE, piece)
        yield BUCKETS + bucket, (TRAFFIC_PIECE, pickle.dumps(traffic))

    def _visits(self, exposures: pa.Table) -> pa.Table:
        inside = exposures.filter(pc.greater(exposures.column("arm"), codes.CHAMPION))
        ties = pa.array(hashes(inside.column("decision_id").combine_chunks()) if inside.num_rows else [], pa.uint64())
        return inside.append_column("tie", ties).select(self._question.visits.names)

    def _gains(self, exposures: pa.Table, outcomes: pa.Table) -> tuple[pa.Table, int]:
        """Outcomes that a KPI counts, with unit and arm of their answer; and how many have no answer."""
        places = pc.index_in(outcomes.column("decision_id"), value_set=exposures.column("decision_id").combine_chunks())
        found = np.asarray(places.fill_null(-1).to_numpy(), np.int64)
        orphans = int(((found < 0) & (column(outcomes, "time") >= self._question.since)).sum())
        named = pc.index_in(outcomes.column("name"), value_set=pa.array(self._question.columns, pa.string()))
        names = np.asarray(named.fill_null(-1).to_numpy(), np.int64)
        arms = column(exposures, "arm")
        counted = (found >= 0) & (names >= 0)
        counted[counted] &= np.isin(arms[found[counted]], (codes.CHAMPION, codes.CONTROL, codes.TREATMENT))
        rows, of = np.flatnonzero(counted), found[counted]
        gains = {
            "unit_id": exposures.column("unit_id").take(pa.array(of)),
            "arm": pa.array(arms[of], pa.int8()),
            # A client's clock may be behind: nothing follows from an answer before it was given.
            "when": pa.array(np.maximum(column(outcomes, "time")[rows], column(exposures, "time")[of])),
            "column": pa.array(names[rows], pa.int16()),
            "value": pa.array(numbers(outcomes, "value")[rows]),
        }
        return pa.table(gains, schema=GAINS), orphans


def _traffic(exposures: pa.Table, *, duplicates: int) -> Traffic:
    arms = column(exposures, "arm")
    mine = arms != codes.FOREIGN
    newest = column(exposures, "time")[mine].max(initial=0)
    traffic = Traffic(duplicates=duplicates, newest=int(newest))
    for code in (codes.CONTROL, codes.TREATMENT, codes.SHADOW):
        inside = arms == code
        fallbacks = column(exposures, "fallback")[inside]
        traffic.requests[code] = int(inside.sum())
        traffic.fallbacks[code] = int(fallbacks.sum())
        traffic.mismatches[code] = int(column(exposures, "mismatch")[inside].sum())
        # Of answers by the version itself.
        traffic.latencies[code] = latency_bins(numbers(exposures, "latency")[inside][fallbacks == 0])
    return traffic
