"""Counts, moments and quantiles: TFDV's own generator, fed so that no row of a text is written out.

TFDV counts the bytes of every row's text and looks for invalid ones in each; here that happens once per different
value. And it copies a column value by value where rows are missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow_data_validation as tfdv
from tensorflow_data_validation import types
from tensorflow_data_validation.statistics.generators import basic_stats_generator, stats_generator
from tensorflow_data_validation.utils import stats_util
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx_bsl.arrow import array_util

from components.examples.texts import decode_values, is_text

_OPTIONS = tfdv.StatsOptions()

Accumulator = list[Any]
"""TFDV's own, one for each row group, or one merged: its quantiles depend on what was merged with what."""


class Basics(stats_generator.CombinerStatsGenerator):  # type: ignore[misc]
    """For columns of large lists, as `components.examples.records` reads them encoded, without weights."""

    def __init__(self) -> None:
        super().__init__(type(self).__name__)
        self._tfdv = basic_stats_generator.BasicStatsGenerator(
            num_values_histogram_buckets=_OPTIONS.num_values_histogram_buckets,
            num_histogram_buckets=_OPTIONS.num_histogram_buckets,
            num_quantiles_histogram_buckets=_OPTIONS.num_quantiles_histogram_buckets,
            epsilon=_OPTIONS.epsilon,
        )

    def create_accumulator(self) -> Accumulator:
        return []

    def add_input(self, accumulator: Accumulator, input_record_batch: pa.RecordBatch) -> Accumulator:
        found = self._tfdv.create_accumulator()
        found.num_examples = input_record_batch.num_rows
        for field, column in zip(input_record_batch.schema, input_record_batch.columns, strict=True):
            path = types.FeaturePath([field.name])
            found[path] = self._measured(path, column)
        return [*accumulator, self._tfdv.compact(found)]

    def _measured(self, path: types.FeaturePath, column: pa.LargeListArray) -> Any:
        new_sketch = self._tfdv._make_quantiles_sketch_fn
        stats = basic_stats_generator._PartialBasicStats(False, new_sketch)
        lengths = _lengths(column)
        values = _values(column, int(lengths.sum()))
        if is_text(column.type):
            kind = statistics_pb2.FeatureNameStatistics.STRING
            _add_texts(stats.string_stats, values)
        else:
            kind = stats_util.get_feature_type_from_arrow_type(path, column.type)
            stats.numeric_stats.update(pa.LargeListArray.from_arrays([0, len(values)], values))
        stats.common_stats.type = kind
        stats.common_stats.presence_and_valency_stats = [_valency(lengths, new_sketch)]
        return stats

    def merge_accumulators(self, accumulators: Iterable[Accumulator]) -> Accumulator:
        return [self._tfdv.merge_accumulators(itertools.chain.from_iterable(accumulators))]

    def extract_output(self, accumulator: Accumulator) -> statistics_pb2.DatasetFeatureStatistics:
        [merged] = accumulator
        return self._tfdv.extract_output(merged)


def _lengths(column: pa.LargeListArray) -> npt.NDArray[np.int64]:
    """Numbers of values of the rows that are not missing."""
    lengths = np.diff(column.offsets.to_numpy())
    return lengths[column.is_valid().to_numpy(zero_copy_only=False)] if column.null_count else lengths


def _values(column: pa.LargeListArray, count: int) -> pa.Array:
    """As `flatten`, which copies them one by one where rows are missing, though nothing lies between the others."""
    first, last = column.offsets[0].as_py(), column.offsets[-1].as_py()
    return column.values[first:last] if last - first == count else column.flatten()


def _valency(lengths: npt.NDArray[np.int64], new_sketch: Callable[[], Any]) -> Any:
    stats = basic_stats_generator._PresenceAndValencyStats(new_sketch)
    if not len(lengths):
        return stats
    stats.num_non_missing, stats.total_num_values = len(lengths), int(lengths.sum())
    stats.min_num_values, stats.max_num_values = int(lengths.min()), int(lengths.max())
    if stats.min_num_values == stats.max_num_values:  # mostly one: nothing to count
        stats.num_values_summary.AddValues(pa.array([stats.min_num_values]), pa.array([len(lengths)]))
    else:
        found = pa.array(lengths).value_counts()
        stats.num_values_summary.AddValues(found.field("values"), found.field("counts"))
    return stats


def _add_texts(stats: Any, values: pa.Array) -> None:
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    lengths = pa.compute.binary_length(values.dictionary).to_numpy()
    stats.total_bytes_length += int(lengths[values.indices.to_numpy()].sum(dtype=np.int64))
    if array_util.CountInvalidUTF8(values.dictionary):
        stats.invalid_utf8_count += array_util.CountInvalidUTF8(decode_values(values))
