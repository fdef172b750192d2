"""Pieces of tables that travel to where the rows with the same id meet: Arrow, compressed.

    for bucket, piece in scattered(table, "decision_id"): ...
    table = gathered([piece, other])

How many buckets there are is part of a result's last digits: sums are made bucket by bucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

BUCKETS = 32
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def hashes(ids: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.uint64]:
    """The same in every process."""
    found: npt.NDArray[np.uint64] = pd.util.hash_array(ids.to_numpy(zero_copy_only=False), categorize=False)
    return found


def scattered(table: pa.Table, key: str) -> Iterator[tuple[int, bytes]]:
    """The rows by bucket of their key."""
    if not table.num_rows:
        return
    buckets = (hashes(table.column(key).combine_chunks()) % BUCKETS).astype(np.int64)
    table = table.take(pa.array(np.argsort(buckets, kind="stable"))).combine_chunks()
    ends = np.cumsum(np.bincount(buckets, minlength=BUCKETS))
    for bucket, (end, count) in enumerate(zip(ends, np.diff(ends, prepend=0), strict=True)):
        if count:
            yield bucket, packed(table.slice(int(end - count), int(count)))


def packed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def gathered(pieces: Sequence[bytes], schema: pa.Schema) -> pa.Table:
    tables = [pa.ipc.open_stream(piece).read_all() for piece in pieces]
    return pa.concat_tables(tables).combine_chunks() if tables else schema.empty_table()


def first_of_each(table: pa.Table, ids: Sequence[str], order: Sequence[str]) -> tuple[pa.Table, int]:
    """One row of each id, the first in `order`, sorted by id; and how many were dropped.

    What `order` leaves open is decided by all the other columns, so that no order of arrival matters.
    """
    others = [
        field.name
        for field in table.schema
        if field.name not in (*ids, *order)
        and not pa.types.is_nested(field.type)
        and not pa.types.is_boolean(field.type)
    ]
    table = table.sort_by([(name, "ascending") for name in (*ids, *order, *others)]).combine_chunks()
    if table.num_rows < 2:
        return table, 0
    keys = [table.column(name).combine_chunks().to_numpy(zero_copy_only=False) for name in ids]
    fresh = np.ones(table.num_rows, bool)
    fresh[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return table.filter(pa.array(fresh)), int((~fresh).sum())


def column(table: pa.Table, name: str) -> Ints:
    return np.asarray(table.column(name).to_numpy(), np.int64)


def numbers(table: pa.Table, name: str) -> Floats:
    return np.asarray(table.column(name).to_numpy(), np.float64)
