"""A Beam pipeline whose element is a row group: read, split, write one shard per split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, artifact_utils

from components.examples.records import describe, row_groups, to_lists, write_shard
from components.examples.splitting import split_rows
from pipelines.errors import DataError
from pipelines.spec import Data


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
        groups = list(raw_row_groups(Path(rows.uri)))
        work = [(index, len(groups), path, group) for index, (path, group) in enumerate(groups)]
        with self._make_beam_pipeline() as pipeline:
            _ = pipeline | "RowGroups" >> beam.Create(work) | "Split" >> beam.ParDo(_SplitRowGroup(data, output.uri))
        _check_counts(Path(output.uri), data)
        describe(output, split_names=list(data.splits), span=rows.span)


def raw_row_groups(folder: Path) -> Iterator[tuple[str, int]]:
    """(file, row group) of a RawDay in input order: it names the shards, so that they never depend on the workers."""
    for path in sorted(folder.glob("*.parquet")):
        with _readable(path):
            metadata = pq.read_metadata(path)
        for number in range(metadata.num_row_groups):
            if metadata.row_group(number).num_rows:
                yield str(path), number


def _read(path: str, group: int, columns: list[str]) -> pa.Table:
    with _readable(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read_row_group(group, columns=columns, use_threads=False)


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    try:
        yield
    except MemoryError:  # Arrow's own one is an ArrowException too
        raise
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"the rows of the contract cannot be read: {' '.join(str(error).split())[:300]}",
            fix="delete the folder of that artifact, and run the contract node again",
            place=str(path),
        ) from error


class _SplitRowGroup(beam.DoFn):  # type: ignore[misc]
    def __init__(self, data: Data, uri: str) -> None:
        self._columns = {name: str(kind) for name, kind in data.columns.items()}
        self._key, self._splits, self._uri = data.split_key, dict(data.splits), uri

    def process(self, element: tuple[int, int, str, int]) -> None:
        index, count, path, group = element
        [rows] = _read(path, group, list(self._columns)).combine_chunks().to_batches()
        batch = to_lists(rows, self._columns)
        for split, numbers in split_rows(rows.column(self._key), self._splits).items():
            chosen = batch.take(pa.array(numbers))
            write_shard(chosen, Path(self._uri) / f"Split-{split}", index=index, count=count)


def _check_counts(folder: Path, data: Data) -> None:
    counts = {split: sum(found.row_count for found in row_groups(folder, split)) for split in data.splits}
    print("  ".join(f"{split}: {count:,} examples" for split, count in counts.items()))
    for split, count in counts.items():
        if not count:
            raise DataError(
                f"the split {split!r} has no rows: too few different values of `split_key` {data.split_key!r}",
                fix="give the split more buckets in `data.splits`, or split by a key with more values",
            )
