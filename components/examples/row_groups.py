"""The row groups of a judged day, and the Beam transform that splits each into its shards.

groups = list(raw_row_groups(paths))
_ = pipeline | Split([(groups, {"examples": folder})], data)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from components.concurrency import Concurrently
from components.examples.records import readable, to_lists, write_shard
from components.examples.sampling import downsample
from components.examples.splitting import split_rows
from components.examples.texts import decode
from pipelines.spec import Data

Targets = Mapping[str, Path]
"""Folder of the shards by output: `examples`, and `sample` when the spec asks for one."""

_readable = partial(readable, what="the rows of the contract", node="contract")


def raw_row_groups(paths: Sequence[Path]) -> Iterator[tuple[str, int]]:
    """(file, row group) of a RawDay in input order: it names the shards, so that they never depend on the workers."""
    for path in paths:
        metadata = _readable(path, partial(pq.read_metadata, path))
        for number in range(metadata.num_row_groups):
            if metadata.row_group(number).num_rows:
                yield str(path), number


def _read(path: str, group: int, columns: Mapping[str, str]) -> pa.Table:
    """Texts stay encoded where they are so in the file: a number is copied, split and written sooner than its text."""

    def reading() -> pa.Table:
        metadata = pq.read_metadata(path)
        leaves = (metadata.row_group(group).column(index) for index in range(metadata.num_columns))
        encoded = [leaf.path_in_schema for leaf in leaves if leaf.has_dictionary_page]
        texts = [name for name in encoded if columns.get(name) == "string"]
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=texts, page_checksum_verification=True) as file:
            return file.read_row_group(group, columns=list(columns), use_threads=False)

    return _readable(Path(path), reading)


class Split(beam.PTransform):  # type: ignore[misc]
    """From nothing to the shards of some row groups, for each of `work`."""

    def __init__(self, work: Sequence[tuple[Sequence[tuple[str, int]], Targets]], data: Data) -> None:
        super().__init__()
        self._work = [
            (index, len(groups), path, group, {name: str(folder) for name, folder in targets.items()})
            for groups, targets in work
            for index, (path, group) in enumerate(groups)
        ]
        self._split = _SplitRowGroup(data)

    def expand(self, begin: Any) -> Any:
        return begin | "RowGroups" >> beam.Create(self._work) | "Split" >> Concurrently(self._split)


class _SplitRowGroup(beam.DoFn):  # type: ignore[misc]
    def __init__(self, data: Data) -> None:
        self._columns = {name: str(kind) for name, kind in data.columns.items()}
        self._key, self._splits = data.split_key, dict(data.splits)
        self._label, self._downsample = data.label, data.downsample

    def process(self, element: tuple[int, int, str, int, dict[str, str]]) -> None:
        index, count, path, group, targets = element
        [rows] = _read(path, group, self._columns).combine_chunks().to_batches()
        for split, own in split_rows(rows.column(self._key), self._splits).items():
            # Rows are chosen before they become lists, of which choosing costs several times as much.
            chosen = to_lists(rows.filter(pa.array(own)), self._columns)
            write_shard(chosen, Path(targets["examples"]) / f"Split-{split}", index=index, count=count)
            if self._downsample and split in self._downsample.splits:
                kept = downsample(
                    decode(chosen),
                    label=self._label,
                    keep_negatives=self._downsample.keep_negatives,
                    weight=self._downsample.weight,
                )
                write_shard(kept, Path(targets["sample"]) / f"Split-{split}", index=index, count=count)
