"""Step 1: a row group of the log becomes narrow rows, on the way to the bucket of their decision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.exposures.reading import RowGroup
from components.exposures.records import DECIDE, SHADOW
from components.join import question as codes
from components.join.pieces import BUCKETS, scattered
from components.join.question import OUTCOMES, Question
from pipelines.errors import DataError

Piece = tuple[str, bytes]
"""What it is, and packed rows."""
EXPOSURES_PIECE, OUTCOMES_PIECE, UNREADABLE = "exposures", "outcomes", "unreadable"
_NARROW = (
    *("decision_id", "time", "model", "unit_id", "rollout_id", "arm", "assigned_version", "served_version"),
    *("fallback", "latency", "kind", "propensities"),
)


class Shred(beam.DoFn):  # type: ignore[misc]
    def __init__(self, question: Question) -> None:
        self._question = question

    def process(self, element: tuple[str, RowGroup]) -> Iterator[tuple[int, Piece]]:
        kind, group = element
        try:
            table = self._outcomes(group) if kind == OUTCOMES_PIECE else self._exposures(group)
        except DataError:
            yield BUCKETS, (UNREADABLE, b"")
            return
        for bucket, piece in scattered(table, "decision_id"):
            yield bucket, (kind, piece)

    def _outcomes(self, group: RowGroup) -> pa.Table:
        table = group.read(OUTCOMES.names).select(OUTCOMES.names).cast(OUTCOMES)
        # Also the time: what a client dates into the future has not happened yet.
        return table.filter(pc.less_equal(table.column("received"), self._question.as_of))

    def _exposures(self, group: RowGroup) -> pa.Table:
        table = group.read(_NARROW)
        known = pc.less_equal(table.column("time"), self._question.as_of)
        rows = np.flatnonzero(known.to_numpy())
        table = table.take(pa.array(rows))
        arms = _arms(table, self._question)
        plain = pc.equal(table.column("fallback"), "")
        moved = pc.not_equal(table.column("assigned_version"), table.column("served_version"))
        found = {
            "decision_id": table.column("decision_id"),
            "unit_id": table.column("unit_id"),
            "time": table.column("time"),
            "arm": pa.array(arms, pa.int8()),
            "fallback": pc.cast(pc.invert(plain), pa.int8()),
            "mismatch": pc.cast(pc.and_(plain, moved), pa.int8()),
            "latency": table.column("latency"),
            "shown": pa.array(_shown(table, group, rows), pa.int32()),
            **self._slices(group, rows, arms),
        }
        return pa.table(found).select(self._question.exposures.names).cast(self._question.exposures)

    def _slices(self, group: RowGroup, rows: Any, arms: Any) -> dict[str, pa.Array]:
        names = self._question.slices
        inside = (arms == codes.CONTROL) | (arms == codes.TREATMENT)
        values: dict[str, list[str | None]] = {name: [None] * len(rows) for name in names}
        if names and inside.any():
            contexts = group.read(["context"]).column("context").take(pa.array(rows[inside])).to_pylist()
            for row, found in zip(np.flatnonzero(inside), _read_contexts(contexts, names), strict=True):
                for name, value in zip(names, found, strict=True):
                    values[name][row] = value
        return {f"slice.{name}": pa.array(found, pa.string()) for name, found in values.items()}


def _arms(table: pa.Table, question: Question) -> Any:
    """`[rows]` int8."""
    inside = pc.equal(table.column("rollout_id"), question.rollout_id).to_numpy()
    named = table.column("arm").to_numpy()
    arms = np.full(table.num_rows, codes.CHAMPION, np.int8)
    for name, code in (("control", codes.CONTROL), ("treatment", codes.TREATMENT), (SHADOW, codes.SHADOW)):
        arms[inside & (named == name)] = code
    # Nobody saw what a mirrored request of another rollout was answered.
    arms[~inside & (named == SHADOW)] = codes.FOREIGN
    arms[pc.not_equal(table.column("model"), question.model).to_numpy()] = codes.FOREIGN
    return arms


def _shown(table: pa.Table, group: RowGroup, rows: Any) -> Any:
    """Rows of each answer: places that were filled, or rows that were predicted."""
    places = pc.list_value_length(table.column("propensities")).to_numpy()
    lists = pc.equal(table.column("kind"), DECIDE).to_numpy()
    if lists.all():
        return places
    scores = group.read(["scores"]).column("scores").take(pa.array(rows))
    return np.where(lists, places, np.maximum(pc.list_value_length(scores).to_numpy(), 1))


def _read_contexts(texts: Sequence[str], names: Sequence[str]) -> Iterator[list[str | None]]:
    fields = {f"field_{place}": name for place, name in enumerate(names)}
    context = msgspec.defstruct("Context", [(field, Any, None) for field in fields], rename=fields)
    decoder = msgspec.json.Decoder(context)
    for text in texts:
        try:
            found = decoder.decode(text)
        except msgspec.MsgspecError:
            yield [None] * len(names)
        else:
            yield [_as_text(getattr(found, field)) for field in fields]


def _as_text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) else None
