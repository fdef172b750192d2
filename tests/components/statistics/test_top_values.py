from __future__ import annotations

import pickle
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from tensorflow_data_validation import types
from tensorflow_data_validation.utils import top_k_uniques_stats_util

from components.statistics import top_values
from components.statistics.top_values import TopValues


def column(values: Sequence[bytes]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"text": pa.array([[value] for value in values], pa.large_list(pa.large_binary()))}
    )


def partial(values: Sequence[bytes]) -> top_values.Accumulator:
    """As it arrives at a merge."""
    found: top_values.Accumulator = pickle.loads(
        pickle.dumps(TopValues().add_input(TopValues().create_accumulator(), column(values)))
    )
    return found


def counts(accumulator: top_values.Accumulator) -> dict[str, float]:
    [feature] = TopValues().extract_output(accumulator).features
    return {bucket.label: bucket.sample_count for bucket in feature.string_stats.rank_histogram.buckets}


def test_batches_of_one_accumulator_add_up() -> None:
    found = TopValues().add_input(partial([b"a", b"b", b"a"]), column([b"b", b"", b"b"]))
    assert counts(found) == {"b": 3, "a": 2, "": 1}


def test_values_that_cannot_be_shown_share_a_placeholder() -> None:
    found = TopValues().merge_accumulators([partial([b"\xff", b"\xfe", b"x" * 1025]), partial([b"x" * 1024, b"\xff"])])
    assert counts(found) == {"__BYTES_VALUE__": 3, "__LARGE_BYTES__": 1, "x" * 1024: 1}
    assert found["text"].distinct.Estimate() == 4


def test_of_equally_frequent_values_the_first_seen_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_values, "VALUES_KEPT", 3)
    first = partial([b"d", b"c", b"b", b"a", b"a"])
    assert counts(first) == {"a": 2, "d": 1, "c": 1}
    merged = TopValues().merge_accumulators([first, partial([b"z", b"c", b"y"])])
    assert counts(merged) == {"a": 2, "c": 2, "d": 1}
    assert merged["text"].distinct.Estimate() == 6


def test_a_merge_in_groups_is_a_merge_of_all() -> None:
    parts = [[b"%d" % (number * step % 50) for number in range(300)] for step in (1, 3, 7, 11)]
    generator = TopValues()
    halves = [generator.merge_accumulators([partial(part) for part in half]) for half in (parts[:2], parts[2:])]
    assert counts(generator.merge_accumulators(halves)) == counts(
        generator.merge_accumulators([partial(part) for part in parts])
    )


def test_a_text_column_without_values_has_no_statistics_of_values() -> None:
    empty = pa.RecordBatch.from_pydict({"text": pa.array([None, []], pa.large_list(pa.large_binary()))})
    found = TopValues().add_input({}, empty)
    assert not TopValues().extract_output(found).features
    assert counts(TopValues().merge_accumulators([found, partial([b"a"])])) == {"a": 1}


def test_tfdv_shows_the_same_of_the_first_ranks_as_of_all_values() -> None:
    random = np.random.default_rng(3)
    counts = np.minimum(random.zipf(1.3, 4000), 500)
    values = [b"%d" % number for number in random.permutation(4000)]
    accumulator = partial([value for value, count in zip(values, counts, strict=True) for _ in range(count)])
    [shown] = TopValues().extract_output(accumulator).features
    pairs = zip(values, counts.tolist(), strict=True)
    assert shown == top_k_uniques_stats_util.make_feature_stats_proto_topk_uniques(
        feature_path=types.FeaturePath(["text"]),
        num_top_values=20,
        num_rank_histogram_buckets=1000,
        num_unique=4000,
        value_count_list=[top_k_uniques_stats_util.FeatureValueCount(*pair) for pair in pairs],
    )
