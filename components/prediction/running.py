"""A whole prediction: pieces that are not done yet, in parallel, then the manifest.

    summary = run(question, files, beam_args=beam_args(cluster, settings), max_quarantined=0.01)
    summary.rows, summary.rows_per_sec

A killed run is continued by the same command. `<output>/_manifest.json` is written last and says that all is there.
"""

from __future__ import annotations

import json
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from components.concurrency import Concurrently
from components.prediction.pieces import Piece, list_pieces
from components.prediction.predicting import Predict, opened
from components.prediction.question import Question
from components.prediction.receipts import FOLDER, Receipt, read_receipts, write_file
from components.prediction.writing import QUARANTINE, remove_unfinished, result_place
from pipelines.errors import RefusedError, SpecError, bounded
from pipelines.node.failures import explain
from pipelines.spec import Frozen
from pipelines.storage import File, is_remote, matching, remove

MANIFEST = "_manifest.json"


class Summary(Frozen):
    rows: int
    quarantined: int
    reasons: dict[str, int]
    files: int
    """Of the output."""
    bytes: int
    resumed: int
    """Pieces that an earlier run had finished."""
    new_rows: int
    """Read by this run, in the seconds below."""
    seconds: float
    cpu_secs: float
    """Of this process: of a cluster only what submits the job."""

    @property
    def rows_per_sec(self) -> float:
        return self.new_rows / self.seconds if self.seconds else 0.0


def run(
    question: Question,
    files: Sequence[File],
    *,
    beam_args: Sequence[str],
    max_quarantined: float,
    replace: bool = False,
    tell: Callable[[str], None] = print,
) -> Summary:
    """Raises `RefusedError` when a larger share of the rows than `max_quarantined` has no prediction."""
    pieces = list_pieces(files, question)
    for first in {piece.path: piece for piece in pieces}.values():
        opened(first, question)  # a file that lacks a column is told before the first second of scoring
    others = _others(pieces, question)
    if others and not replace:
        raise SpecError(
            f"`--output` holds predictions of another model, input or choice of columns: {bounded(others)}",
            fix="name another folder, or add --replace to remove them when the new ones are there",
            place=question.output,
        )
    _remove(f"{question.output}/{MANIFEST}")
    receipts = read_receipts(question)
    left = [piece for piece in pieces if piece.name not in receipts]
    tell(f"{len(pieces)} pieces, {len(left)} to do")
    seconds, cpu_secs = _predict(left, question, beam_args)
    receipts |= read_receipts(question) if left else {}
    done = [receipts[piece.name] for piece in pieces]
    for place in others:
        _remove(place)
    remove_unfinished(pieces, question)
    summary = _summary(done, left, seconds=seconds, cpu_secs=cpu_secs)
    _require_few_quarantined(summary, max_quarantined, question)
    write_file(f"{question.output}/{MANIFEST}", _manifest(done, summary, question))
    return summary


def _predict(left: Sequence[Piece], question: Question, beam_args: Sequence[str]) -> tuple[float, float]:
    """Seconds, and CPU seconds of this process."""
    if not left:
        return 0.0, 0.0
    started, cpu = time.monotonic(), _cpu_secs()
    try:
        with beam.Pipeline(options=PipelineOptions(list(beam_args))) as pipeline:
            _ = pipeline | beam.Create(left, reshuffle=len(left) > 1) | Concurrently(Predict(question))
    except Exception as error:
        raise explain(error, user_code=[], place="predict") from error
    return time.monotonic() - started, _cpu_secs() - cpu


def _cpu_secs() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _others(pieces: Sequence[Piece], question: Question) -> list[str]:
    """Files of another question. Those of this one are equal, whoever wrote them."""
    own = {piece.name for piece in pieces}
    places = [f"{question.output}/*", f"{question.output}/{QUARANTINE}/*", f"{question.output}/{FOLDER}/*"]
    return [str(file) for place in places for file in matching(place) if file.name.rsplit(".", 1)[0] not in own]


def _remove(place: str) -> None:
    if is_remote(place):
        remove(place)
    else:
        Path(place).unlink(missing_ok=True)


def _summary(done: Sequence[Receipt], left: Sequence[Piece], *, seconds: float, cpu_secs: float) -> Summary:
    fresh = {piece.name for piece in left}
    reasons: Counter[str] = Counter()
    for receipt in done:
        reasons.update(receipt.reasons)
    return Summary(
        rows=sum(receipt.rows for receipt in done),
        quarantined=sum(receipt.quarantined for receipt in done),
        reasons=dict(reasons.most_common()),
        files=len(done),
        bytes=sum(receipt.bytes for receipt in done),
        resumed=len(done) - len(fresh),
        new_rows=sum(receipt.rows for receipt in done if receipt.name in fresh),
        seconds=seconds,
        cpu_secs=cpu_secs,
    )


def _require_few_quarantined(summary: Summary, bound: float, question: Question) -> None:
    if summary.quarantined > bound * summary.rows:
        reasons = bounded(f"{reason} ({count:,})" for reason, count in summary.reasons.items())
        raise RefusedError(
            f"at most {bound:.3%} of the rows may be without a prediction. "
            f"Received: {summary.quarantined:,} of {summary.rows:,}: {reasons}",
            fix=f"see {question.output}/{QUARANTINE}; correct the input, or allow more with --max-quarantined",
            place=question.output,
        )


def _manifest(done: Sequence[Receipt], summary: Summary, question: Question) -> bytes:
    """Equal for equal work."""
    told = summary.model_dump(include={"rows", "quarantined", "reasons", "files", "bytes"})
    files = [
        {"file": result_place(one.name, question).rpartition("/")[2], **one.model_dump(include={"source", "row_group", "rows", "quarantined"})}
        for one in done
    ]  # fmt: skip
    whole = {"model_version": question.version, "model_digest": question.digest, **told, "pieces": files}
    return (json.dumps(whole, indent=1) + "\n").encode()
