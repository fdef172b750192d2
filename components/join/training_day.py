"""Tomorrow's training day from what the gateways logged: rows, lists and items, where the spec says they are read.

    day = write_day(spec, log=log, day=date(2026, 1, 5), settings=settings, beam_args=arguments)
    day.rows, day.lists, day.items

The files are the same bytes whatever the order of the log, its files, duplicates and the number of workers.
"""

from __future__ import annotations

import datetime
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from components.aggregation import Aggregate, Kernel
from components.concurrency import Concurrently
from components.days.merging import read_pickled, write_pickled
from components.exposures.archiving import day_file
from components.exposures.journal import EXPOSURES, OUTCOMES
from components.exposures.reading import RowGroup, row_groups
from components.join.finding import Find, Found, MatchLists
from components.join.lists import Shape, build_span
from components.join.shredding import EXPOSURES_PIECE, OUTCOMES_PIECE, Piece
from components.join.snapshots import listed, settle
from pipelines.errors import DataError, ResourceError, SpecError, bounded
from pipelines.settings import Settings
from pipelines.spec import Spec
from pipelines.storage import is_remote

ROW_GROUP = 65_536
_ROWS, _LISTS = "rows", "lists"


class Day(NamedTuple):
    rows: int
    lists: int
    items: int
    left_out: int
    """Lists whose context or candidates cannot be read."""


class Paths(NamedTuple):
    rows: Path
    lists: Path
    items: Path


class _Spans(Kernel[Sequence[Piece], tuple[dict[str, dict[str, Any]], int]]):
    """Writes rows and lists of a span, and merges what is known of the items: later ones win."""

    def __init__(self, groups: Sequence[RowGroup], shape: Shape, folder: Path) -> None:
        self._groups, self._shape, self._folder = groups, shape, folder

    def partial(self, element: tuple[int, Sequence[Piece]]) -> tuple[dict[str, dict[str, Any]], int]:  # type: ignore[override]
        number, pieces = element
        span = build_span(pieces, self._groups, self._shape)
        for name, table in ((_ROWS, span.rows), (_LISTS, span.lists)):
            pq.write_table(table, self._folder / f"{name}-{number:03d}.parquet", compression="zstd")
        return span.items, span.left_out

    def merge(self, partials: Sequence[tuple[dict[str, dict[str, Any]], int]]) -> tuple[dict[str, dict[str, Any]], int]:
        items: dict[str, dict[str, Any]] = {}
        for found, _ in partials:
            items.update(found)
        return items, sum(left_out for _, left_out in partials)


def write_day(spec: Spec, *, log: Path, day: datetime.date, settings: Settings, beam_args: Sequence[str]) -> Day:
    """Raises:
    DataError: a file of the log is damaged, or there are no lists of that day.
    SpecError: the pipeline has no policy, or its data is not a file of each day.
    """
    paths = day_paths(spec, day, settings)
    if not settle(log):
        raise ResourceError("the log could not be archived", fix="free the disk and try again", place=str(log))
    exposures, outcomes = _row_groups(spec, log, day)
    assert spec.policy is not None
    folder = log / f".day-{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        shape = Shape.of(spec, spec.policy)
        items, left_out = _joined(spec, exposures, outcomes, shape, folder, beam_args)
        if not items:
            raise _nothing(log, spec, day)
        table = shape.items(items)
        _write(iter([table]), table.schema, paths.items)
        lists = _write(_parts(folder, _LISTS), shape.lists, paths.lists)
        # Last: a day whose rows are there is whole.
        rows = _write(_parts(folder, _ROWS), shape.rows, paths.rows)
    finally:
        shutil.rmtree(folder)
    return Day(rows=rows, lists=lists, items=len(items), left_out=left_out)


def day_paths(spec: Spec, day: datetime.date, settings: Settings) -> Paths:
    if spec.policy is None:
        raise SpecError(
            "a day of lists needs `policy`, which names their columns", fix="declare `policy`", place=spec.name
        )
    source = spec.data.source
    texts = (source.path, spec.policy.decisions, spec.policy.items)
    found = [settings.expand(text).replace("{day}", str(day)) for text in texts]
    if source.format != "parquet" or "{day}" not in source.path or any("*" in one or is_remote(one) for one in found):
        raise SpecError(
            f"a day is written to one local Parquet file of `{{day}}` each. Received: {bounded(texts)}",
            fix="give `data.source.path`, `policy.decisions` and `policy.items` such paths",
            place=spec.name,
        )
    return Paths(*(path if path.is_absolute() else settings.home / path for path in map(Path, found)))


def _row_groups(spec: Spec, log: Path, day: datetime.date) -> tuple[list[RowGroup], list[RowGroup]]:
    wait = max((kpi.attribution_days for kpi in spec.kpis), default=0) + 1
    exposures, bad = row_groups(log, EXPOSURES, [day])
    # A client's clock may be behind by a day, or its outcome came after midnight.
    after = [day + datetime.timedelta(days=number) for number in range(-1, wait + 1)]
    outcomes, worse = row_groups(log, OUTCOMES, after)
    if bad or worse:
        raise DataError(
            f"files of the log cannot be read: {bounded([*bad, *worse])}",
            fix="restore them, or move them out of the log: their rows are lost then",
            place=str(log),
        )
    if not exposures:
        raise _nothing(log, spec, day)
    return exposures, outcomes


def _nothing(log: Path, spec: Spec, day: datetime.date) -> DataError:
    return DataError(
        f"the log must hold lists of the day. Received: none of {spec.name} on {day}",
        fix="send the gateway requests, or simulate the day",
        place=str(log),
    )


def _joined(
    spec: Spec,
    exposures: Sequence[RowGroup],
    outcomes: Sequence[RowGroup],
    shape: Shape,
    folder: Path,
    beam_args: Sequence[str],
) -> tuple[dict[str, dict[str, Any]], int]:
    found = [Found(EXPOSURES_PIECE, number, group) for number, group in enumerate(exposures)]
    found += [Found(OUTCOMES_PIECE, number, group) for number, group in enumerate(outcomes)]
    path = folder / "items.pickle"
    with beam.Pipeline(argv=list(beam_args)) as pipeline:
        _ = (
            pipeline
            | beam.Create(found)
            | "Find" >> Concurrently(Find(spec.name, shape.outcomes))
            | "ByDecision" >> beam.GroupByKey()
            | "Pieces" >> beam.MapTuple(listed)
            | "Match" >> Concurrently(MatchLists())
            | "BySpan" >> beam.GroupByKey()
            | "SpanPieces" >> beam.MapTuple(_numbered)
            | "Build" >> Aggregate(_Spans(exposures, shape, folder))
            | "Collect" >> beam.Map(write_pickled, path)
        )
    return read_pickled(path) if path.exists() else ({}, 0)


def _numbered(span: int, pieces: Any) -> tuple[int, tuple[int, list[Piece]]]:
    return span, (span, list(pieces))


def _parts(folder: Path, name: str) -> Iterator[pa.Table]:
    """Row groups, in the order of time."""
    waiting: list[pa.Table] = []
    for path in sorted(folder.glob(f"{name}-*.parquet")):
        waiting.append(pq.read_table(path, partitioning=None))
        while sum(map(len, waiting)) >= ROW_GROUP:
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, ROW_GROUP)
            waiting = [whole.slice(ROW_GROUP)]
    yield pa.concat_tables(waiting)


def _write(tables: Iterator[pa.Table], schema: pa.Schema, path: Path) -> int:
    count = 0
    with day_file(path, schema) as writer:
        for table in tables:
            writer.write_table(table.cast(schema), row_group_size=ROW_GROUP)
            count += len(table)
    return count
