"""Which lists a day's rows are made from: narrow rows meet by decision, and go to the quarter of an hour that they are of.

Wide columns (candidates, scores) are read once their rows are known, and travel nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.exposures.archiving import DAY_MICROS
from components.exposures.reading import RowGroup
from components.exposures.records import DECIDE, SHADOW
from components.join.pieces import column, first_of_each, gathered, packed, scattered
from components.join.shredding import EXPOSURES_PIECE, OUTCOMES_PIECE, Piece

SPANS = 96
"""Of a day, a quarter of an hour each: what one worker holds of the wide columns, beside a row group."""
PLACES_PIECE, TOTALS_PIECE = "places", "totals"
PLACES = pa.schema([("decision_id", pa.string()), ("time", pa.int64()), ("group", pa.int64()), ("row", pa.int64())])
"""Where an exposure is: which row group, which of its rows."""
OUTCOMES = pa.schema(
    [
        ("decision_id", pa.string()),
        ("outcome_id", pa.string()),
        ("item_id", pa.string()),
        ("name", pa.string()),
        ("value", pa.float64()),
        ("time", pa.int64()),
        ("received", pa.int64()),
    ]
)
TOTALS = pa.schema(
    [("decision_id", pa.string()), ("item_id", pa.string()), ("name", pa.string()), ("value", pa.float64())]
)


class Found(NamedTuple):
    """A row group, and its place among all of them."""

    kind: str
    number: int
    group: RowGroup


class Find(beam.DoFn):  # type: ignore[misc]
    """Lists that somebody saw as the model's own: no fallbacks, nothing mirrored."""

    def __init__(self, model: str, names: Sequence[str]) -> None:
        self._model, self._names = model, names

    def process(self, element: Found) -> Iterator[tuple[int, Piece]]:
        table = self._outcomes(element) if element.kind == OUTCOMES_PIECE else self._places(element)
        for bucket, piece in scattered(table, "decision_id"):
            yield bucket, (element.kind, piece)

    def _outcomes(self, found: Found) -> pa.Table:
        table = found.group.read(OUTCOMES.names).select(OUTCOMES.names).cast(OUTCOMES)
        return table.filter(pc.is_in(table.column("name"), value_set=pa.array(self._names, pa.string())))

    def _places(self, found: Found) -> pa.Table:
        table = found.group.read(["decision_id", "time", "model", "arm", "fallback", "kind"])
        shown = pc.and_(
            pc.and_(pc.equal(table.column("model"), self._model), pc.equal(table.column("kind"), DECIDE)),
            pc.and_(pc.equal(table.column("fallback"), ""), pc.not_equal(table.column("arm"), SHADOW)),
        )
        rows = np.flatnonzero(shown.to_numpy())
        table = table.take(pa.array(rows))
        columns = [table.column("decision_id"), table.column("time"), np.full(len(rows), found.number), rows]
        return pa.table([pa.chunked_array([pa.array(one)]) if isinstance(one, np.ndarray) else one for one in columns],
                        schema=PLACES)  # fmt: skip


class MatchLists(beam.DoFn):  # type: ignore[misc]
    """Each list once, with the totals of its outcomes."""

    def process(self, element: tuple[int, Sequence[Piece]]) -> Iterator[tuple[int, Piece]]:
        _, pieces = element
        places, _ = first_of_each(
            gathered([piece for kind, piece in pieces if kind == EXPOSURES_PIECE], PLACES), ["decision_id"], ["time"]
        )
        outcomes, _ = first_of_each(
            gathered([piece for kind, piece in pieces if kind == OUTCOMES_PIECE], OUTCOMES),
            ["decision_id", "outcome_id"],
            ["received", "time"],
        )
        totals = _totals(outcomes)
        spans = (column(places, "time") % DAY_MICROS) * SPANS // DAY_MICROS
        of = pc.index_in(totals.column("decision_id"), value_set=places.column("decision_id").combine_chunks())
        lists = np.asarray(of.fill_null(-1).to_numpy(), np.int64)
        for span in np.unique(spans):
            yield int(span), (PLACES_PIECE, packed(places.filter(pa.array(spans == span))))
            mine = (lists >= 0) & (spans[lists] == span) if len(lists) else np.zeros(0, bool)
            if mine.any():
                yield int(span), (TOTALS_PIECE, packed(totals.filter(pa.array(mine))))


def _totals(outcomes: pa.Table) -> pa.Table:
    """By list, item and name, in an order that is theirs: sums of floats depend on it."""
    keys = ["decision_id", "item_id", "name"]
    ordered = outcomes.sort_by([(name, "ascending") for name in (*keys, "value")])
    found = ordered.group_by(keys, use_threads=False).aggregate([("value", "sum")])
    return found.rename_columns({"value_sum": "value"}).select(TOTALS.names).cast(TOTALS)
