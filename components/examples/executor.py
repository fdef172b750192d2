"""Splits the rows of a judged day or window into shards, and says so when a split got none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, artifact_utils

from components.days.listing import Days
from components.examples.records import describe, row_groups
from components.examples.row_groups import Split, raw_row_groups
from components.examples.window import split_window
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


def _check_counts(folder: Path, splits: Sequence[str], data: Data, *, what: str = "examples") -> None:
    counts = {split: sum(found.row_count for found in row_groups(folder, split)) for split in splits}
    print("  ".join(f"{split}: {count:,} {what}" for split, count in counts.items()))
    for split, count in counts.items():
        if not count:
            raise DataError(
                f"the split {split!r} has no rows: too few different values of `split_key` {data.split_key!r}",
                fix="give the split more buckets in `data.splits`, or split by a key with more values",
            )
