"""TFDV's statistics of whole row groups, their partial results merged in input order.

StatisticsGen takes batches of a thousand rows and counts every value of a text column in Beam, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, artifact_utils

from components.aggregation import Aggregate, Kernel
from components.days.identity import code_key, key_of
from components.days.listing import Days
from components.days.merging import ByDay, Partials, numbered, write_pickled
from components.days.store import DayStore
from components.examples.records import RowGroup, read, row_groups, row_groups_by_day
from components.statistics.basics import Basics
from components.statistics.top_values import TopValues
from pipelines.errors import DataError
from pipelines.manifest import write_atomically

STATISTICS_FILE = "FeatureStats.pb"
STAGE = "statistics"

MOST_TOGETHER = 4
"""Row groups that share one table of hashes for each column: to fill it is most of the work of counting different values,
and most of the bytes of a partial result."""
LEAST_RUNS = 4
"""Of row groups together, so that there is work for every thread."""
FAN_IN = 8
"""Runs that are merged at once, 2M rows: with 64, what they hold unpacked cost another 0.26 GiB at 5M rows."""

Accumulators = list[Any]
"""One of each generator."""


class StatisticsExecutor(BaseBeamExecutor):  # type: ignore[misc]
    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `Split-<name>/FeatureStats.pb`, a `DatasetFeatureStatisticsList`, for every split.

        Raises:
            DataError: a split has no rows, or a shard cannot be read.
        """
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        output = artifact_utils.get_single_instance(output_dict["statistics"])
        splits = artifact_utils.decode_split_names(examples.split_names)
        groups = {split: _row_groups(Path(examples.uri), split) for split in splits}
        targets = {split: Path(output.uri) / f"Split-{split}" / STATISTICS_FILE for split in splits}
        if days := Days.read(Path(examples.uri)):
            merge_days(days, Path(examples.uri), targets, self._make_beam_pipeline)
        else:
            with self._make_beam_pipeline() as pipeline:
                for split, found in groups.items():
                    _ = (
                        pipeline
                        | f"RowGroups[{split}]" >> beam.Create(list(enumerate(_runs(found))))
                        | f"Statistics[{split}]" >> Aggregate(FeatureStatistics(), fan_in=FAN_IN)
                        | f"Write[{split}]" >> beam.Map(_write, targets[split])
                    )
        output.split_names = artifact_utils.encode_split_names(splits)
        output.span = examples.span


def merge_days(days: Days, examples: Path, targets: Mapping[str, Path], pipeline_of: Callable[[], Any]) -> None:
    """Statistics of a window: of its days, each measured once, merged."""
    code = code_key("components.statistics", "components.aggregation", "components.examples.records")
    with DayStore.opened(days.pipeline) as store, store.new() as folder:
        partials = {
            split: Partials(store, STAGE, {day.day: key_of(code, split, day.digest) for day in days.days})
            for split in targets
        }
        with pipeline_of() as pipeline:
            for split, found in partials.items():
                if not found.missing:
                    continue
                groups = row_groups_by_day(examples, split, days)
                _ = (
                    pipeline
                    | f"RowGroups[{split}]" >> beam.Create(numbered({day: _runs(groups[day]) for day in found.missing}))
                    | f"Statistics[{split}]" >> Aggregate(ByDay(FeatureStatistics()), fan_in=FAN_IN)
                    | f"Write[{split}]" >> beam.Map(write_pickled, folder / split)
                )
        for split, found in partials.items():
            _write(found.merged(FeatureStatistics(), folder / split), targets[split])
        store.prune(STAGE)


class FeatureStatistics(Kernel[Sequence[RowGroup], Accumulators]):
    """Of neighbouring row groups, merged as if each had come alone: the same bytes however many are together."""

    def partial(self, element: Sequence[RowGroup]) -> Accumulators:
        generators = _generators()
        found = [generator.create_accumulator() for generator in generators]
        for row_group in element:
            batch = read(row_group, encoded=True)
            found = [generator.add_input(one, batch) for generator, one in zip(generators, found, strict=True)]
        return found

    def merge(self, partials: Sequence[Accumulators]) -> Accumulators:
        by_generator = zip(_generators(), zip(*partials, strict=True), strict=True)
        return [generator.merge_accumulators(list(found)) for generator, found in by_generator]

    def parts(self, partial: Accumulators) -> dict[str | None, Any]:
        """Top values column by column."""
        basics, top_values = partial
        return {None: basics, **{name: {name: found} for name, found in top_values.items()}}

    def merge_part(self, key: str | None, parts: Sequence[Any]) -> Any:
        basics, top_values = _generators()
        return (basics if key is None else top_values).merge_accumulators(parts)

    def whole(self, parts: Mapping[str | None, Any]) -> Accumulators:
        columns = [part for key, part in parts.items() if key is not None]
        return [parts[None], {name: found for column in columns for name, found in column.items()}]


def extract(merged: Accumulators) -> statistics_pb2.DatasetFeatureStatisticsList:
    return stats_impl.extract_statistics_output(merged, _generators())


def _generators() -> list[Any]:
    return [Basics(), TopValues()]


def _row_groups(folder: Path, split: str) -> list[RowGroup]:
    found = row_groups(folder, split)
    if not found:
        raise DataError(
            f"the split {split!r} of the examples has no rows",
            fix="delete the folder of that artifact, and run the examples node again",
            place=str(folder),
        )
    return found


def _runs(found: Sequence[RowGroup]) -> list[Sequence[RowGroup]]:
    size = max(1, min(MOST_TOGETHER, len(found) // LEAST_RUNS))
    return [found[start : start + size] for start in range(0, len(found), size)]


def _write(merged: Accumulators, path: Path) -> None:
    write_atomically(path, extract(merged).SerializeToString(deterministic=True))
