"""Journals become Parquet files of a day: `python -m components.exposures archive LOG`, in a process of its own.

    archive(Path("log"))        # all sealed journals, and those of gateways that died

A file appears whole and on the disk before its journal goes. A journal that is archived twice gives the same files.
"""

from __future__ import annotations

import datetime
import fcntl
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.exposures.journal import (
    EXPOSURES,
    JOURNALS,
    KINDS,
    LOCK,
    OPEN,
    OUTCOMES,
    SEALED,
    WANTED,
    read_batches,
    seal,
    sync,
)
from components.exposures.records import Exposure, Outcome
from components.exposures.schema import EXPOSURES as EXPOSURE_COLUMNS
from components.exposures.schema import OUTCOMES as OUTCOME_COLUMNS

SCHEMAS = {EXPOSURES: EXPOSURE_COLUMNS, OUTCOMES: OUTCOME_COLUMNS}
ROW_GROUP = 4096
"""Rows in memory, of some kilobytes each when a list had many candidates."""
DAY_MICROS = 86_400_000_000
_REPEATED = [
    *("model", "unit_id", "rollout_id", "arm", "assigned_version", "served_version", "fallback", "kind", "policy_id"),
    *("exploration", "candidate_ids.list.element", "name", "item_id"),
]
"""Columns for which a dictionary is worth its time."""
_LATEST_DAYS = 90
"""A client's clock may say anything: an outcome that claims to be older, or of tomorrow's tomorrow, is of the day it came."""


def archive(log: Path) -> int:
    """Rows that were put into Parquet files. One process at a time; the others wait.

    Raises `OSError` when the disk is full; the journals stay, for the next call.
    """
    journals = log / JOURNALS
    if not journals.is_dir():
        return 0
    with locked(log / ".archive.lock"):
        for gateway in sorted(path for path in journals.iterdir() if path.is_dir()):
            _seal_of_the_dead(gateway)
        return sum(_archive_journal(path, log) for path in sorted(journals.glob(f"*/*{SEALED}")))


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Whether the lock is ours: always, after a wait."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def ask_to_seal(log: Path, *, patience_secs: float = 2.0) -> None:
    """Gateways that run seal what they have written so far, so that the log is as new as it can be; a silent one is not
    waited for."""
    asked = []
    for gateway in sorted(path for path in (log / JOURNALS).glob("*") if path.is_dir()):
        with locked(gateway / LOCK, wait=False) as dead:
            if not dead and any(gateway.glob(f"*{OPEN}")):
                asked.append(gateway / WANTED)
                asked[-1].touch()
    deadline = time.monotonic() + patience_secs
    while any(path.exists() for path in asked) and time.monotonic() < deadline:
        time.sleep(0.02)


def _seal_of_the_dead(gateway: Path) -> None:
    with locked(gateway / LOCK, wait=False) as dead:
        if dead:
            for path in gateway.glob(f"*{OPEN}"):
                seal(path)


def _archive_journal(path: Path, log: Path) -> int:
    kind = path.name.partition("-")[0]
    name = f"{path.parent.name}-{path.stem.partition('-')[2]}.parquet"
    rows = unreadable = 0
    with ExitStack() as stack:
        days: dict[str, pq.ParquetWriter] = {}
        for batch, dropped in _row_groups(path, kind):
            unreadable += dropped
            rows += batch.num_rows
            for day, part in by_day(batch, doubted=True):
                if day not in days:
                    days[day] = stack.enter_context(day_file(log / kind / f"day={day}" / name, batch.schema))
                days[day].write_batch(part)
    if unreadable:
        logging.getLogger(__name__).error("%s: %d records are of wrong types and were left out", path, unreadable)
    path.unlink(missing_ok=True)
    return rows


@contextmanager
def day_file(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A Parquet file that appears at the end, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=_REPEATED) as writer:
            yield writer
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _row_groups(path: Path, kind: str) -> Iterator[tuple[pa.RecordBatch, int]]:
    waiting: list[Exposure] | list[Outcome] = []
    unreadable = 0
    for records, dropped in read_batches(path, KINDS[kind]):
        waiting.extend(records)
        unreadable += dropped
        if len(waiting) >= ROW_GROUP:
            yield to_arrow(waiting, SCHEMAS[kind]), unreadable
            waiting, unreadable = [], 0
    if waiting or unreadable:
        yield to_arrow(waiting, SCHEMAS[kind]), unreadable


def to_arrow(records: Sequence[Exposure] | Sequence[Outcome], schema: pa.Schema) -> pa.RecordBatch:
    columns = list(zip(*map(msgspec.structs.astuple, records), strict=True)) or [()] * len(schema)
    arrays = [_array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_list(kind):
        return pa.array(values, kind)
    # Arrow takes ten times as long to find out the same from lists in a list.
    offsets = np.concatenate([[0], np.cumsum(list(map(len, values)), dtype=np.int64)]).astype(np.int32)
    flat = chain.from_iterable(values)
    whole = np.fromiter(flat, np.float64, offsets[-1]) if pa.types.is_floating(kind.value_type) else list(flat)
    return pa.ListArray.from_arrays(offsets, pa.array(whole, kind.value_type))


def by_day(batch: pa.RecordBatch, *, doubted: bool = False) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows of each UTC day, in their order; `doubted`: times are what some client's clock said."""
    days = batch.column("time").to_numpy() // DAY_MICROS
    if doubted and "received" in batch.schema.names:
        received = batch.column("received").to_numpy() // DAY_MICROS
        days = np.where((days > received + 1) | (days < received - _LATEST_DAYS), received, days)
    for day in np.unique(days):
        rows = np.flatnonzero(days == day)
        part = batch if len(rows) == len(batch) else batch.take(pa.array(rows))
        yield str(datetime.date(1970, 1, 1) + datetime.timedelta(days=int(day))), part
