from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest

from components.transform.vocabulary import count, merge, prune


@pytest.mark.slow
def test_a_million_distinct_tokens() -> None:
    random = np.random.default_rng(3)
    parts = [random.integers(0, 1_500_000, 500_000) for _ in range(4)]
    counts = merge([merge([count(_texts(part)) for part in parts[:2]]), *(count(_texts(part)) for part in parts[2:])])
    kept = prune(counts, threshold=2, top_k=100_000, dtype="string")
    tokens, numbers = np.unique(np.concatenate(parts), return_counts=True)
    assert len(counts) == len(tokens) > 1_000_000
    expected = sorted(zip(numbers.tolist(), (str(token).encode() for token in tokens), strict=True), reverse=True)
    assert list(zip(kept["count"].to_pylist(), kept["token"].to_pylist(), strict=True)) == expected[:100_000]


def _texts(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers).cast(pa.large_string()).cast(pa.large_binary())


def test_merged_counts_pickle_without_what_is_not_theirs() -> None:
    counts = merge([count(_texts(np.arange(first, first + 100_000))) for first in (0, 50_000)])
    assert len(pickle.dumps(counts)) < 1.1 * counts.nbytes


def test_integers_are_ordered_as_text_when_tied() -> None:
    kept = prune(count(np.array([10, 9, 9, 10, -1])), threshold=0, top_k=3, dtype="int64")
    assert kept.to_pydict() == {"token": [b"9", b"10", b"-1"], "count": [2, 2, 1]}


def test_sums_of_weights_do_not_depend_on_the_grouping_of_equal_halves() -> None:
    values, weights = np.array([b"a", b"b", b"a"], object), np.array([0.1, 0.2, 0.3], "f4")
    found = merge([count(values, weights), count(values, weights)]).to_pydict()
    first = float(np.float32(0.1)) + float(np.float32(0.3))
    assert found == {"token": [b"a", b"b"], "count": [first + first, 2 * float(np.float32(0.2))]}


def test_the_first_tokens_are_those_of_the_whole_order_with_ties_at_the_end_and_weights_that_are_no_number() -> None:
    weights = np.array([1.0, np.nan, 3.0, 2.0, 2.0, 2.0])
    counts = count(np.array([b"a", b"b", b"c", b"d", b"f", b"e"], object), weights)
    for top_k, tokens in {
        2: [b"c", b"f"],
        4: [b"c", b"f", b"e", b"d"],
        6: [b"c", b"f", b"e", b"d", b"a", b"b"],
    }.items():
        assert prune(counts, threshold=0, top_k=top_k, dtype="string")["token"].to_pylist() == tokens


def test_merged_counts_are_pickled_at_their_size() -> None:
    parts = [count(_texts(np.arange(start, start + 50_000))) for start in (0, 25_000)]
    merged = merge(parts)
    assert len(merged) == 75_000
    assert len(pickle.dumps(merged)) < 1.2 * merged.nbytes
