"""Byte for byte what TFDV's own generator finds in the same rows, written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl

from components.examples.records import RowGroup, read, row_groups, to_lists
from components.statistics.basics import Basics
from tests.components.statistics.making import examples_of

ROWS = 3000
COLUMNS = {
    "number": "float",
    "whole": "int",
    "several": "ints",
    "text": "string",
    "texts": "strings",
    "bytes": "string",
    "nowhere": "float",
    "no_text": "string",
}


def rows() -> pa.RecordBatch:
    random = np.random.default_rng(5)
    missing = random.random(ROWS) < 0.3
    lengths = random.integers(0, 4, ROWS).tolist()
    number = random.lognormal(2, 1, ROWS)
    number[:4] = np.nan, np.inf, -np.inf, 0
    return to_lists(
        pa.RecordBatch.from_pydict(
            {
                "number": pa.array(number, mask=missing),
                "whole": random.integers(-3, 60, ROWS),
                "several": pa.array(
                    [None if gone else list(range(n)) for gone, n in zip(missing, lengths, strict=True)]
                ),
                "text": pa.array([f"täxt {n}" if n else "" for n in random.zipf(1.3, ROWS) % 90], mask=missing),
                "texts": [["a" * n] * n for n in lengths],
                "bytes": pa.array([b"\xff" * n for n in lengths], pa.binary()),
                "nowhere": pa.nulls(ROWS, pa.float32()),
                "no_text": pa.nulls(ROWS, pa.string()),
            }
        ),
        COLUMNS,
    )


def ours(groups: list[RowGroup], *, encoded: bool) -> bytes:
    generator = Basics()
    found = [generator.add_input(generator.create_accumulator(), read(group, encoded=encoded)) for group in groups]
    output: bytes = generator.extract_output(generator.merge_accumulators(found)).SerializeToString(deterministic=True)
    return output


def theirs(groups: list[RowGroup]) -> bytes:
    [generator, _] = stats_impl.get_generators(tfdv.StatsOptions(), in_memory=True)
    found = [generator.compact(generator.add_input(generator.create_accumulator(), read(group))) for group in groups]
    output: bytes = generator.extract_output(generator.merge_accumulators(found)).SerializeToString(deterministic=True)
    return output


def test_they_are_those_of_tfdv(tmp_path: Path) -> None:
    batch = rows()
    groups = row_groups(Path(examples_of(tmp_path, {"train": [batch, batch.slice(1000)]}).uri), "train")
    assert len(groups) == 2
    assert ours(groups, encoded=True) == ours(groups, encoded=False) == theirs(groups)


def test_row_groups_of_one_partial_are_merged_as_if_each_had_its_own(tmp_path: Path) -> None:
    batch = rows()
    groups = row_groups(Path(examples_of(tmp_path, {"train": [batch, batch.slice(7), batch]}).uri), "train")
    generator, found = Basics(), Basics().create_accumulator()
    for group in groups:
        found = generator.add_input(found, read(group, encoded=True))
    merged = generator.extract_output(generator.merge_accumulators([found]))
    assert merged.SerializeToString(deterministic=True) == theirs(groups)


def test_what_lies_under_a_missing_row_is_not_counted() -> None:
    """Parquet holds nothing there; a batch from elsewhere may."""
    column = pa.LargeListArray.from_arrays(
        pa.array([0, 1, 2, 3]), pa.array([1.0, 1e9, 2.0], pa.float32()), mask=pa.array([False, True, False])
    )
    generator = Basics()
    found = generator.add_input([], pa.RecordBatch.from_arrays([column], names=["number"]))
    [feature] = generator.extract_output(generator.merge_accumulators([found])).features
    assert (feature.num_stats.max, feature.num_stats.common_stats.tot_num_values) == (2.0, 2)
