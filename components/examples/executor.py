"""A Beam pipeline whose element is a row group: read, split, write one shard per split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, artifact_utils

from components.days.identity import code_key, key_of
from components.days.listing import Day, Days
from components.days.store import DayStore, Entry, place
from components.examples.records import describe, row_groups, shard_name, shards, to_lists, write_shard
from components.examples.splitting import split_rows
from pipelines.errors import DataError
from pipelines.spec import Data

STAGE = "examples"


class ExamplesExecutor(BaseBeamExecutor):  # type: ignore[misc]
    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `Split-<name>/data-<row group>-of-<count>.parquet`.

        Raises:
            DataError: a split got no rows.
        """
        rows = artifact_utils.get_single_instance(input_dict["rows"])
        output = artifact_utils.get_single_instance(output_dict["examples"])
        data = Data.model_validate_json(exec_properties["data"])
        target = Path(output.uri)
        if days := Days.read(Path(rows.uri)):
            split_window(days, Path(rows.uri), target, data, self._make_beam_pipeline)
        else:
            groups = list(raw_row_groups(sorted(Path(rows.uri).glob("*.parquet"))))
            with self._make_beam_pipeline() as pipeline:
                _ = pipeline | Split([(groups, target)], data)
        _check_counts(Path(output.uri), data)
        describe(output, split_names=list(data.splits), span=rows.span)


def raw_row_groups(paths: Sequence[Path]) -> Iterator[tuple[str, int]]:
    """(file, row group) of a RawDay in input order: it names the shards, so that they never depend on the workers."""
    for path in paths:
        metadata = pq.read_metadata(path)
        for number in range(metadata.num_row_groups):
            if metadata.row_group(number).num_rows:
                yield str(path), number


class Split(beam.PTransform):  # type: ignore[misc]
    """From nothing to the shards of some row groups in a folder, for each of `work`."""

    def __init__(self, work: Sequence[tuple[Sequence[tuple[str, int]], Path]], data: Data) -> None:
        super().__init__()
        self._work = [
            (index, len(groups), path, group, str(folder))
            for groups, folder in work
            for index, (path, group) in enumerate(groups)
        ]
        self._split = _SplitRowGroup(data)

    def expand(self, begin: Any) -> Any:
        return begin | "RowGroups" >> beam.Create(self._work) | "Split" >> beam.ParDo(self._split)


class _SplitRowGroup(beam.DoFn):  # type: ignore[misc]
    def __init__(self, data: Data) -> None:
        self._columns = {name: str(kind) for name, kind in data.columns.items()}
        self._key, self._splits = data.split_key, dict(data.splits)

    def process(self, element: tuple[int, int, str, int, str]) -> None:
        index, count, path, group, folder = element
        with pq.ParquetFile(path) as file:
            table = file.read_row_group(group, columns=list(self._columns), use_threads=False)
        [rows] = table.combine_chunks().to_batches()
        batch = to_lists(rows, self._columns)
        for split, numbers in split_rows(rows.column(self._key), self._splits).items():
            chosen = batch.take(pa.array(numbers))
            write_shard(chosen, Path(folder) / f"Split-{split}", index=index, count=count)


def split_window(days: Days, rows: Path, target: Path, data: Data, pipeline_of: Callable[[], Any]) -> None:
    """Splits the days of which no examples are kept, and puts those of all days side by side."""
    files = sorted(rows.glob("*.parquet"))
    columns = {name: str(kind) for name, kind in data.columns.items()}
    key = key_of(code_key("components.examples"), str(columns), data.split_key, str(dict(data.splits)))
    with DayStore.opened(days.pipeline) as store, ExitStack() as stack:
        keys = [key_of(key, day.digest) for day in days.days]
        entries = {name: store.find(STAGE, name) for name in keys}
        folders = {name: stack.enter_context(store.new()) for name, entry in entries.items() if entry is None}
        paths = dict(zip(keys, files, strict=True))
        with pipeline_of() as pipeline:
            _ = pipeline | Split(
                [(list(raw_row_groups([paths[name]])), folder) for name, folder in folders.items()], data
            )
        made = {name: store.add(STAGE, name, folder) for name, folder in folders.items()}
        found = [entries[name] or made[name] for name in keys]
        _side_by_side(found, days, list(data.splits), target)
        store.prune(STAGE)
    print(f"{len(keys)} days, {len(folders)} of them split now", flush=True)


def _side_by_side(entries: Sequence[Entry], days: Days, splits: Sequence[str], target: Path) -> None:
    counts = [len(shards(entry.folder, splits[0])) for entry in entries]
    listed: list[Day] = []
    for day, entry, count in zip(days.days, entries, counts, strict=True):
        first = sum(one.count for one in listed)
        listed.append(Day(day=day.day, digest=entry.digest, first=first, count=count))
        for split in splits:
            for number, path in enumerate(shards(entry.folder, split)):
                place(path, target / f"Split-{split}" / shard_name(first + number, sum(counts)))
    Days(pipeline=days.pipeline, days=tuple(listed)).write(target)


def _check_counts(folder: Path, data: Data) -> None:
    counts = {split: sum(found.row_count for found in row_groups(folder, split)) for split in data.splits}
    print("  ".join(f"{split}: {count:,} examples" for split, count in counts.items()))
    for split, count in counts.items():
        if not count:
            raise DataError(
                f"the split {split!r} has no rows: too few different values of `split_key` {data.split_key!r}",
                fix="give the split more buckets in `data.splits`, or split by a key with more values",
            )
