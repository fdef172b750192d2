"""One piece: rows in, predictions and quarantine out, and a receipt last. The step of the Beam pipeline.

_ = pipeline | beam.Create(pieces) | Concurrently(Predict(question))
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import schema_pb2

from components.contract.columns import LISTS
from components.contract.formats import open_files
from components.contract.raw import RawFile
from components.contract.reading import NoRowsError, RawDay, RawRows
from components.contract.rows import Reasons
from components.contract.values import Mask
from components.contract.writing import quarantined_lines, quarantined_rows
from components.examples.records import to_lists
from components.prediction.model import Predictor, Scores
from components.prediction.pieces import Piece
from components.prediction.question import PREDICTION, VERSION, Question
from components.prediction.receipts import Receipt, write_receipt
from components.prediction.row_group import RowGroupRows
from components.prediction.writing import Results
from pipelines.errors import SpecError, bounded

NOT_FINITE = "the prediction is not a finite number"
LOADED = 2
_ADDED = (PREDICTION, VERSION)
_NO_SCORES = np.empty((0, 1), np.float32)
_ANY_DAY = datetime.date.min
"""Only queries ask for the day."""


class Predict(beam.DoFn):  # type: ignore[misc]
    """Threads share it."""

    def __init__(self, question: Question) -> None:
        self._question = question

    def setup(self) -> None:
        self._predictor = load_predictor(self._question.model, self._question.schema)

    def process(self, element: Piece) -> Iterator[Any]:
        predict(Piece(*element), self._question, self._predictor)
        return iter(())


@functools.lru_cache(maxsize=LOADED)
def load_predictor(model: Path, schema: bytes) -> Predictor:
    """Once in a process."""
    return Predictor(model, schema_pb2.Schema.FromString(schema))


def opened(piece: Piece, question: Question) -> RawDay:
    """The rows of a piece as typed batches; what the schema of the file tells is judged at once."""
    if piece.row_group is not None:
        files: list[RawFile] = [RowGroupRows(piece.file, piece.row_group, question.data, keep=question.keep)]
    else:
        files = open_files(question.data, _ANY_DAY, [piece.file], required=False)
    raw = RawDay(files, question.data)
    if question.keep and (missing := [name for name in question.keep if name not in _available(raw, question)]):
        raise SpecError(
            f"`--keep` must name columns of the input. Received: {bounded(missing)}; "
            f"there are {bounded(_available(raw, question), limit=30)}",
            fix="correct `--keep`; of jsonl and tfrecord only columns that the spec declares can be kept",
            place=piece.path,
        )
    return raw


def predict(piece: Piece, question: Question, predictor: Predictor) -> Receipt:
    rows, broken, reasons = 0, 0, dict[str, int]()
    raw = opened(piece, question)
    with Results(piece, question, raw.identity.names) as results:
        try:
            for batch in raw.batches():
                rows += batch.count
                _score(batch, question, predictor, results, reasons)
        except NoRowsError:
            pass  # as many predictions
        if raw.broken:
            results.refuse(quarantined_lines(raw.broken, results.quarantine_schema))
            broken = len(raw.broken)
            for line in raw.broken:
                reasons[line.reason] = reasons.get(line.reason, 0) + 1
        receipt = Receipt(
            name=piece.name,
            source=piece.path,
            row_group=piece.row_group,
            rows=rows + broken,
            quarantined=results.refused_rows,
            reasons=reasons,
            bytes=results.publish(),
        )
    write_receipt(receipt, question)
    return receipt


def _score(batch: RawRows, question: Question, predictor: Predictor, results: Results, told: dict[str, int]) -> None:
    reasons = _unscorable(batch, question, predictor)
    bad = reasons.quarantined
    types = {name: str(question.data.columns[name]) for name in question.model_columns}
    typed = batch.typed_without(bad).select(question.model_columns).combine_chunks()
    scores = predictor(to_lists(typed.to_batches()[0], types)) if typed.num_rows else Scores(_NO_SCORES, {})
    values = np.full((batch.count, scores.values.shape[1]), np.nan, np.float32)
    values[~bad] = scores.values
    _add_refused(reasons, scores, places=np.flatnonzero(~bad))
    bad = reasons.quarantined
    for reason, mask in reasons.masks.items():
        if mask.any():
            told[reason] = told.get(reason, 0) + int(mask.sum())
    if bad.any():
        results.refuse(quarantined_rows(batch, reasons, np.flatnonzero(bad)))
    results.add(_answers(batch, values, question), without=bad)


def _unscorable(batch: RawRows, question: Question, predictor: Predictor) -> Reasons:
    """Rows whose columns of the model are wrong, or missing where it has no answer without."""
    own = tuple(f"{name}: " for name in question.model_columns)
    lines = {reason for reason in batch.wrong if not any(reason.startswith(f"{n}: ") for n in question.data.columns)}
    reasons = Reasons(batch.count, {r: m for r, m in batch.wrong.items() if r.startswith(own) or r in lines})
    wrong = reasons.quarantined
    for name in predictor.required:
        missing = np.asarray(batch.typed[name].is_null().to_numpy(), bool)
        reasons.add(f"{name}: missing, and the model has no prediction without", missing & ~wrong)
        if question.data.columns[name] in LISTS and (size := predictor.sizes[name]):
            lengths = pc.fill_null(pc.list_value_length(batch.typed[name]), size).to_numpy()
            reasons.add(f"{name}: must hold {size} values", np.asarray(lengths != size, bool))
    return reasons


def _add_refused(reasons: Reasons, scores: Scores, *, places: Any) -> None:
    """What the model itself said, and predictions that are no numbers."""
    refused: dict[str, Mask] = {}
    for row, words in scores.refused.items():
        mask = refused.setdefault(f"the model refuses the row: {words}", np.zeros(reasons.count, bool))
        mask[places[row]] = True
    strange = np.zeros(reasons.count, bool)
    strange[places] = ~np.isfinite(scores.values).all(axis=1)
    for mask in refused.values():
        strange &= ~mask
    for reason, mask in (refused | {NOT_FINITE: strange}).items():
        reasons.add(reason, mask)


def _answers(batch: RawRows, values: Any, question: Question) -> pa.Table:
    """Kept columns, typed where the spec says how, with prediction and version."""
    kept = question.keep
    if kept is None:
        kept = tuple(name for name in _columns(batch.untyped.column_names, question) if name not in _ADDED)
    columns = {name: _kept(batch, name) for name in kept}
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    width = values.shape[1]
    columns[PREDICTION] = flat if width == 1 else pa.FixedSizeListArray.from_arrays(flat, width)
    columns[VERSION] = pa.array([question.version], pa.large_string()).take(pa.array(np.zeros(batch.count, np.int8)))
    return pa.table(columns)


def _kept(batch: RawRows, name: str) -> Any:
    return batch.typed[name] if name in batch.typed.column_names else batch.untyped[name]


def _available(raw: RawDay, question: Question) -> list[str]:
    return _columns(raw.identity.names, question)


def _columns(untyped: Any, question: Question) -> list[str]:
    """Those of the file first, in its order."""
    return [name for name in dict.fromkeys([*untyped, *question.data.columns]) if not name.startswith("_")]
