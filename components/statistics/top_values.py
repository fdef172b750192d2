"""Most frequent and number of different values of text columns: a TFDV generator whose bytes are the same every time.

TFDV counts every value in Beam, a table as large as the column is diverse, or takes a Misra-Gries sketch, which keeps
others of equally frequent values in every process. Here the first seen is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow_data_validation as tfdv
from tensorflow_data_validation import constants, types
from tensorflow_data_validation.statistics.generators import stats_generator
from tensorflow_data_validation.utils import top_k_uniques_stats_util
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx_bsl.sketches import KmvSketch

from components.examples.texts import count_values, is_text

VALUES_KEPT = 4096
"""Counts are exact up to so many different values; beyond, each is short by at most 3 / 4,096 of all values: one cut
in the row group, one among its neighbours, one at the end."""
HASHES_KEPT = 16_384
"""As TFDV: the number of different values is exact up to here, and about 1 % off beyond."""
LONGEST_BYTES = 1024
"""As TFDV: longer values are counted as one."""
_OPTIONS = tfdv.StatsOptions()
_RANKS = max(_OPTIONS.num_top_values, _OPTIONS.num_rank_histogram_buckets)


Counts = tuple[pa.Array, npt.NDArray[np.int64]]
"""Values in the order in which they were first seen, and their numbers."""


@dataclass
class ValueCounts:
    parts: list[Counts]
    """Of each row group, or one of all that were merged."""
    distinct: KmvSketch
    """Of all row groups: it holds the same in whatever order they came, and most of the work is to fill it."""

    @classmethod
    def empty(cls) -> ValueCounts:
        return cls([], KmvSketch(HASHES_KEPT))

    def add(self, values: pa.Array) -> None:
        """`values`: large_binary, or a dictionary of them."""
        found, counts = count_values(values)
        self.distinct.AddValues(found)
        readable = _readable(found)
        if readable is not found:
            readable, counts = _summed([(readable, counts)])
        self.parts.append(_most_frequent(readable, counts))

    @classmethod
    def merged(cls, found: Sequence[ValueCounts]) -> ValueCounts:
        first, *rest = found
        for other in rest:
            first.distinct.Merge(other.distinct)
        summed = _summed([part for one in found for part in one.parts])
        return cls([_most_frequent(*summed)], first.distinct)


Accumulator = dict[str, ValueCounts]


class TopValues(stats_generator.CombinerStatsGenerator):  # type: ignore[misc]
    """For columns of large lists, as `components.examples.records` reads them, without weights."""

    def __init__(self) -> None:
        super().__init__(type(self).__name__)

    def create_accumulator(self) -> Accumulator:
        return {}

    def add_input(self, accumulator: Accumulator, input_record_batch: pa.RecordBatch) -> Accumulator:
        for field, column in zip(input_record_batch.schema, input_record_batch.columns, strict=True):
            if is_text(field.type):
                accumulator.setdefault(field.name, ValueCounts.empty()).add(column.flatten())
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Accumulator]) -> Accumulator:
        parts: dict[str, list[ValueCounts]] = {}
        for accumulator in accumulators:
            for name, found in accumulator.items():
                parts.setdefault(name, []).append(found)
        return {name: ValueCounts.merged(found) for name, found in parts.items()}

    def extract_output(self, accumulator: Accumulator) -> statistics_pb2.DatasetFeatureStatistics:
        features = [_feature(name, found) for name, found in self.merge_accumulators([accumulator]).items()]
        return statistics_pb2.DatasetFeatureStatistics(features=[feature for feature in features if feature])


def _readable(values: pa.Array) -> pa.Array:
    """Placeholders, which are TFDV's, for values that a histogram cannot show; the same array where there are none."""
    long = pa.compute.greater(pa.compute.binary_length(values), LONGEST_BYTES)
    if long.true_count:
        values = pa.compute.if_else(long, constants.LARGE_BYTES_PLACEHOLDER.encode(), values)
    try:
        values.cast(pa.large_string())
    except pa.ArrowInvalid:
        values = pa.array([_text(value) for value in values.to_pylist()], pa.large_binary())
    return values


def _text(value: bytes) -> bytes:
    try:
        value.decode()
    except UnicodeDecodeError:
        return constants.NON_UTF8_PLACEHOLDER.encode()
    return value


def _summed(parts: Sequence[Counts]) -> Counts:
    if not sum(len(values) for values, _ in parts):
        return parts[0]
    encoded = pa.concat_arrays([values for values, _ in parts]).dictionary_encode()
    sums = np.bincount(encoded.indices.to_numpy(), weights=np.concatenate([counts for _, counts in parts]))
    return encoded.dictionary, sums.astype(np.int64)


def _most_frequent(values: pa.Array, counts: npt.NDArray[np.int64]) -> Counts:
    if len(counts) <= VALUES_KEPT:
        return values, counts
    kept = np.sort(np.argsort(-counts, kind="stable")[:VALUES_KEPT])
    return values.take(pa.array(kept)), counts[kept]


def _first_ranks(values: pa.Array, counts: npt.NDArray[np.int64]) -> Counts:
    """All that TFDV may show, ties of the last one too: it sorts and decodes whatever it gets, one by one."""
    if len(counts) <= _RANKS:
        return values, counts
    shown = counts >= np.partition(counts, -_RANKS)[-_RANKS]
    return values.filter(pa.array(shown)), counts[shown]


def _feature(name: str, merged: ValueCounts) -> statistics_pb2.FeatureNameStatistics | None:
    [(values, counts)] = merged.parts
    if not len(values):
        return None
    values, counts = _first_ranks(values, counts)
    pairs = zip(values.to_pylist(), counts.tolist(), strict=True)
    return top_k_uniques_stats_util.make_feature_stats_proto_topk_uniques(
        feature_path=types.FeaturePath([name]),
        num_top_values=_OPTIONS.num_top_values,
        num_rank_histogram_buckets=_OPTIONS.num_rank_histogram_buckets,
        num_unique=merged.distinct.Estimate(),
        value_count_list=[top_k_uniques_stats_util.FeatureValueCount(value, count) for value, count in pairs],
    )
