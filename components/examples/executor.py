"""A Beam pipeline whose element is a row group: read, split, encode, write one shard per split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
from apache_beam.metrics import Metrics, MetricsFilter
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, artifact_utils

from components.examples.records import describe, encode, write_shard
from components.examples.splitting import split_rows
from pipelines.errors import DataError
from pipelines.spec import Data

_NAMESPACE = "examples"


class ExamplesExecutor(BaseBeamExecutor):  # type: ignore[misc]
    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `Split-<name>/data_tfrecord-<row group>-of-<count>.gz`.

        Raises:
            DataError: a split got no rows.
        """
        rows = artifact_utils.get_single_instance(input_dict["rows"])
        output = artifact_utils.get_single_instance(output_dict["examples"])
        data = Data.model_validate_json(exec_properties["data"])
        groups = list(row_groups(Path(rows.uri)))
        work = [(index, len(groups), path, group) for index, (path, group) in enumerate(groups)]
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "RowGroups" >> beam.Create(work, reshuffle=False)
                | "Encode" >> beam.ParDo(_EncodeRowGroup(data, output.uri))
            )
        _check_counts(pipeline.result, data)
        describe(output, split_names=list(data.splits), span=rows.span)


def row_groups(folder: Path) -> Iterator[tuple[str, int]]:
    """(file, row group) of a RawDay in input order: it names the shards, so that they never depend on the workers."""
    for path in sorted(folder.glob("*.parquet")):
        for group in range(pq.ParquetFile(path).num_row_groups):
            yield str(path), group


class _EncodeRowGroup(beam.DoFn):  # type: ignore[misc]
    def __init__(self, data: Data, uri: str) -> None:
        self._columns = {name: str(kind) for name, kind in data.columns.items()}
        self._key, self._splits, self._uri = data.split_key, dict(data.splits), uri

    def process(self, element: tuple[int, int, str, int]) -> None:
        index, count, path, group = element
        table = pq.ParquetFile(path).read_row_group(group, columns=list(self._columns))
        batch = table.combine_chunks().to_batches()[0]
        for split, numbers in split_rows(batch.column(self._key), self._splits).items():
            records = encode(batch.take(numbers), self._columns) if len(numbers) else []
            write_shard(records, Path(self._uri) / f"Split-{split}", index=index, count=count)
            Metrics.counter(_NAMESPACE, split).inc(len(numbers))


def _check_counts(result: Any, data: Data) -> None:
    counters = result.metrics().query(MetricsFilter().with_namespace(_NAMESPACE))["counters"]
    counts = {counter.key.metric.name: counter.result for counter in counters}
    print("  ".join(f"{split}: {counts.get(split, 0):,} examples" for split in data.splits))
    for split in data.splits:
        if not counts.get(split):
            raise DataError(
                f"the split {split!r} has no rows: too few different values of `split_key` {data.split_key!r}",
                fix="give the split more buckets in `data.splits`, or split by a key with more values",
            )
