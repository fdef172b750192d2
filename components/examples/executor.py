"""A Beam pipeline whose element is a row group: read, split, write one shard per split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, artifact_utils

from components.concurrency import Concurrently
from components.days.identity import code_key, key_of
from components.days.listing import Day, Days
from components.days.store import DayStore, Entry, place
from components.examples.records import describe, row_groups, shard_name, shards, to_lists, write_shard
from components.examples.sampling import downsample
from components.examples.splitting import split_rows
from pipelines.errors import DataError
from pipelines.spec import Data

STAGE = "examples"
_DECIDING = {"columns", "label", "split_key", "splits", "downsample"}
"""Settings that decide the examples of a day whose rows are given."""


class ExamplesExecutor(BaseBeamExecutor):  # type: ignore[misc]
    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `Split-<name>/data-<row group>-of-<count>.parquet`.

        Raises:
            DataError: a split got no rows, or is down-sampled and its label is not binary.
        """
        rows = artifact_utils.get_single_instance(input_dict["rows"])
        output = artifact_utils.get_single_instance(output_dict["examples"])
        data = Data.model_validate_json(exec_properties["data"])
        targets = {"examples": Path(output.uri)}
        if data.downsample:
            targets["sample"] = Path(artifact_utils.get_single_uri(output_dict["sample"]))
        if days := Days.read(Path(rows.uri)):
            split_window(days, Path(rows.uri), targets, data, self._make_beam_pipeline)
        else:
            groups = list(raw_row_groups(sorted(Path(rows.uri).glob("*.parquet"))))
            with self._make_beam_pipeline() as pipeline:
                _ = pipeline | Split([(groups, targets)], data)
        _check_counts(targets["examples"], list(data.splits), data)
        describe(output, split_names=list(data.splits), span=rows.span)
        if data.downsample:
            _check_counts(targets["sample"], data.downsample.splits, data, what="examples are left")
            sample = artifact_utils.get_single_instance(output_dict["sample"])
            describe(sample, split_names=data.downsample.splits, span=rows.span)


def raw_row_groups(paths: Sequence[Path]) -> Iterator[tuple[str, int]]:
    """(file, row group) of a RawDay in input order: it names the shards, so that they never depend on the workers."""
    for path in paths:
        metadata = pq.read_metadata(path)
        for number in range(metadata.num_row_groups):
            if metadata.row_group(number).num_rows:
                yield str(path), number


Targets = Mapping[str, Path]
"""Folder of the shards by output: `examples`, and `sample` when the spec asks for one."""


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
        with pq.ParquetFile(path) as file:
            table = file.read_row_group(group, columns=list(self._columns), use_threads=False)
        [rows] = table.combine_chunks().to_batches()
        batch = to_lists(rows, self._columns)
        for split, numbers in split_rows(rows.column(self._key), self._splits).items():
            chosen = batch.take(pa.array(numbers))
            write_shard(chosen, Path(targets["examples"]) / f"Split-{split}", index=index, count=count)
            if self._downsample and split in self._downsample.splits:
                kept = downsample(
                    chosen,
                    label=self._label,
                    keep_negatives=self._downsample.keep_negatives,
                    weight=self._downsample.weight,
                )
                write_shard(kept, Path(targets["sample"]) / f"Split-{split}", index=index, count=count)


def split_window(days: Days, rows: Path, targets: Targets, data: Data, pipeline_of: Callable[[], Any]) -> None:
    """Splits the days of which no examples are kept, and puts those of all days side by side."""
    files = sorted(rows.glob("*.parquet"))
    key = key_of(code_key("components.examples"), data.model_dump_json(include=_DECIDING))
    with DayStore.opened(days.pipeline) as store, ExitStack() as stack:
        keys = [key_of(key, day.digest) for day in days.days]
        entries = {name: store.find(STAGE, name) for name in keys}
        folders = {name: stack.enter_context(store.new()) for name, entry in entries.items() if entry is None}
        paths = dict(zip(keys, files, strict=True))
        with pipeline_of() as pipeline:
            _ = pipeline | Split(
                [
                    (list(raw_row_groups([paths[name]])), {output: folder / output for output in targets})
                    for name, folder in folders.items()
                ],
                data,
            )
        made = {name: store.add(STAGE, name, folder) for name, folder in folders.items()}
        found = [entries[name] or made[name] for name in keys]
        for output, target in targets.items():
            splits = data.downsample.splits if output == "sample" and data.downsample else data.splits
            _side_by_side(found, output, days, list(splits), target)
        store.prune(STAGE)
    print(f"{len(keys)} days, {len(folders)} of them split now", flush=True)


def _side_by_side(entries: Sequence[Entry], output: str, days: Days, splits: Sequence[str], target: Path) -> None:
    counts = [len(shards(entry.folder / output, splits[0])) for entry in entries]
    listed: list[Day] = []
    for day, entry, count in zip(days.days, entries, counts, strict=True):
        first = sum(one.count for one in listed)
        listed.append(Day(day=day.day, digest=entry.digest, first=first, count=count))
        for split in splits:
            for number, path in enumerate(shards(entry.folder / output, split)):
                place(path, target / f"Split-{split}" / shard_name(first + number, sum(counts)))
    Days(pipeline=days.pipeline, days=tuple(listed)).write(target)


def _check_counts(folder: Path, splits: Sequence[str], data: Data, *, what: str = "examples") -> None:
    counts = {split: sum(found.row_count for found in row_groups(folder, split)) for split in splits}
    print("  ".join(f"{split}: {count:,} {what}" for split, count in counts.items()))
    for split, count in counts.items():
        if not count:
            raise DataError(
                f"the split {split!r} has no rows: too few different values of `split_key` {data.split_key!r}",
                fix="give the split more buckets in `data.splits`, or split by a key with more values",
            )
