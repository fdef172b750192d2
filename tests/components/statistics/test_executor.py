"""Our statistics against TFDV's own on the same rows at once, and against exact numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.types import artifact_utils

from components.examples.records import RowGroup, row_groups, to_lists
from components.statistics.executor import FeatureStatistics, _runs, extract
from components.statistics.top_values import VALUES_KEPT
from pipelines.errors import DataError
from tests.components.examples.making import FOUR_THREADS, contents
from tests.components.statistics.making import Dataset, dataset, examples_of, features, run, statistics_of

ROWS, GROUPS = 40_000, 7
COLUMNS = {"amount": "float", "count": "int", "city": "string", "user": "string", "words": "strings", "none": "int"}


def day(rows: int = ROWS) -> pa.RecordBatch:
    """40 cities, and more users than a count of the most frequent values keeps."""
    random = np.random.default_rng(3)
    amount, user = random.lognormal(2, 1, rows), random.zipf(1.2, rows) % 9000
    words = [["a"] * int(length) for length in random.integers(0, 4, rows)]
    return to_lists(
        pa.RecordBatch.from_pydict(
            {
                "amount": pa.array(amount, mask=random.random(rows) < 0.1),
                "count": random.integers(-3, 60, rows) * (random.random(rows) < 0.7),
                "city": [f"city{number}" if number else "" for number in random.zipf(1.3, rows) % 40],
                "user": [f"user{number}" for number in user],
                "words": [None if row % 9 == 0 else found for row, found in enumerate(words)],
                "none": pa.nulls(rows, pa.int64()),
            }
        ),
        COLUMNS,
    )


def in_groups(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    size = -(-batch.num_rows // GROUPS)
    return [batch.slice(start, size) for start in range(0, batch.num_rows, size)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset(run(tmp_path_factory.mktemp("ours"), {"train": in_groups(day())}), "train")


@pytest.fixture(scope="module")
def stock() -> Dataset:
    """TFDV on all rows at once."""
    [whole] = stats_impl.generate_statistics_in_memory(day()).datasets
    return whole


def common(feature: statistics_pb2.FeatureNameStatistics) -> statistics_pb2.CommonStatistics:
    return getattr(feature, str(feature.WhichOneof("stats"))).common_stats


def test_every_feature_has_the_type_and_counts_of_tfdv(found: Dataset, stock: Dataset) -> None:
    assert found.num_examples == stock.num_examples == ROWS
    assert [feature.path.step[0] for feature in found.features] == list(COLUMNS)
    for name, expected in features(stock).items():
        ours = features(found)[name]
        assert ours.type == expected.type
        for field in ("num_non_missing", "num_missing", "min_num_values", "max_num_values", "tot_num_values"):
            assert (name, field, getattr(common(ours), field)) == (name, field, getattr(common(expected), field))
        assert common(ours).avg_num_values == pytest.approx(common(expected).avg_num_values, rel=1e-6)


def test_numbers_have_the_moments_and_quantiles_of_tfdv(found: Dataset, stock: Dataset) -> None:
    for name in ("amount", "count"):
        ours, expected = features(found)[name].num_stats, features(stock)[name].num_stats
        assert (ours.min, ours.max, ours.num_zeros) == (expected.min, expected.max, expected.num_zeros)
        assert ours.mean == pytest.approx(expected.mean, rel=1e-9)
        assert ours.std_dev == pytest.approx(expected.std_dev, rel=1e-9)
        values = np.sort([value for [value] in day().column(name).drop_null().to_pylist()])
        # The sketch promises ranks within one in a thousand.
        assert abs(np.searchsorted(values, ours.median) / len(values) - 0.5) < 0.05
        for histogram in ours.histograms:
            assert sum(bucket.sample_count for bucket in histogram.buckets) == pytest.approx(len(values), rel=0.01)
        quantiles = next(one for one in ours.histograms if one.type == one.QUANTILES)
        for number, bucket in enumerate(quantiles.buckets[:-1], start=1):
            low, high = (
                np.searchsorted(values, bucket.high_value, side=side) / len(values) for side in ("left", "right")
            )
            assert low - 0.005 <= number / len(quantiles.buckets) <= high + 0.005


def test_few_values_are_counted_exactly(found: Dataset, stock: Dataset) -> None:
    ours, expected = features(found)["city"].string_stats, features(stock)["city"].string_stats
    cities, counts = np.unique([city for [city] in day().column("city").to_pylist()], return_counts=True)
    exact = dict(zip(cities, counts, strict=True))
    assert ours.unique == expected.unique == len(cities)
    assert {bucket.label.encode(): int(bucket.sample_count) for bucket in ours.rank_histogram.buckets} == exact
    assert [top.value for top in ours.top_values] == [top.value for top in expected.top_values]
    assert ours.avg_length == pytest.approx(expected.avg_length, rel=1e-6)


def test_many_values_are_counted_almost_exactly(found: Dataset) -> None:
    """TFDV's sketch would be off by rows / 1,024; TFDV without it is exact."""
    ours = features(found)["user"].string_stats
    users, counts = np.unique([user for [user] in day().column("user").to_pylist()], return_counts=True)
    exact = dict(zip((user.decode() for user in users), counts, strict=True))
    assert ours.unique == len(users) > VALUES_KEPT
    order = sorted(exact, key=lambda user: (exact[user], user), reverse=True)
    assert [top.value for top in ours.top_values] == order[:20]
    assert len(ours.rank_histogram.buckets) == 1000
    for bucket in ours.rank_histogram.buckets:
        assert exact[bucket.label] - 3 * ROWS / VALUES_KEPT <= bucket.sample_count <= exact[bucket.label]


def test_the_artifact_says_its_splits_and_day(tmp_path: Path) -> None:
    statistics = run(tmp_path, {"train": [day(20)], "eval": [day(10)]})
    assert artifact_utils.decode_split_names(statistics.split_names) == ["train", "eval"]
    assert statistics.span == 20458
    assert [dataset(statistics, split).num_examples for split in ("train", "eval")] == [20, 10]


def test_one_worker_and_four_threads_give_the_same_bytes(tmp_path: Path) -> None:
    examples = examples_of(tmp_path, {"train": in_groups(day()), "eval": in_groups(day(9000))})
    one, again = (statistics_of(examples, tmp_path / name) for name in ("one", "again"))
    four = statistics_of(examples, tmp_path / "four", arguments=FOUR_THREADS)
    assert len(contents(one.uri)) == 2
    assert contents(one.uri) == contents(again.uri) == contents(four.uri)


def test_a_merge_of_merges_equals_one_merge(tmp_path: Path) -> None:
    """Counts and sketches may be merged in groups of neighbours, on any number of workers."""
    groups = row_groups(Path(examples_of(tmp_path, {"train": in_groups(day(7000))}).uri), "train")
    kernel = FeatureStatistics()
    first, second = (kernel.merge([kernel.partial([group]) for group in part]) for part in (groups[:3], groups[3:]))
    [found] = extract(kernel.merge([first, second])).datasets
    assert found.num_examples == 7000
    assert common(features(found)["words"]).num_missing == sum(row % 9 == 0 for row in range(7000))


def test_row_groups_measured_together_give_the_same_bytes(tmp_path: Path) -> None:
    groups = row_groups(Path(examples_of(tmp_path, {"train": in_groups(day(7000))}).uri), "train")
    kernel = FeatureStatistics()
    together, alone = (
        extract(kernel.merge([kernel.partial(run) for run in runs])).SerializeToString(deterministic=True)
        for runs in ([groups[:4], groups[4:]], [[group] for group in groups])
    )
    assert together == alone


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (7, [1] * 7), (9, [2, 2, 2, 2, 1]), (18, [4, 4, 4, 4, 2])])
def test_row_groups_are_taken_together_where_enough_work_is_left_for_all(count: int, sizes: list[int]) -> None:
    groups = [RowGroup("day.parquet", number, 1) for number in range(count)]
    runs = _runs(groups)
    assert [len(run) for run in runs] == sizes
    assert [group for run in runs for group in run] == groups


def test_a_column_that_one_row_group_lacks_is_missing_there(tmp_path: Path) -> None:
    whole = day(100)
    statistics = run(tmp_path, {"train": [whole, whole.drop_columns(["city"])]})
    found = dataset(statistics, "train")
    assert found.num_examples == 200
    assert (common(features(found)["city"]).num_non_missing, common(features(found)["city"]).num_missing) == (100, 100)


def test_a_column_without_any_value_is_all_missing(found: Dataset) -> None:
    none = features(found)["none"]
    assert (common(none).num_non_missing, common(none).num_missing) == (0, ROWS)
    assert none.num_stats.mean == 0


def test_validation_accepts_them_against_their_own_schema(found: Dataset) -> None:
    whole = statistics_pb2.DatasetFeatureStatisticsList(datasets=[found])
    schema = tfdv.infer_schema(whole)
    assert not tfdv.validate_statistics(whole, schema).anomaly_info
    assert {feature.name for feature in schema.feature} == set(COLUMNS)


def test_a_split_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the split 'eval' of the examples has no rows"):
        run(tmp_path, {"train": [day(10)], "eval": [day(10).slice(0, 0)]})


def test_a_corrupt_shard_is_named_through_beam(tmp_path: Path) -> None:
    examples = examples_of(tmp_path, {"train": in_groups(day(7000))})
    path = sorted((tmp_path / "examples" / "Split-train").iterdir())[4]
    content = path.read_bytes()
    path.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    # Beam keeps the words of an error, not its class.
    with pytest.raises(
        RuntimeError, match=f"pipelines.errors.DataError: {path}: a shard of the examples cannot be read"
    ):
        statistics_of(examples, tmp_path)


@pytest.mark.slow
def test_a_million_different_values_cost_no_table_of_them(tmp_path: Path) -> None:
    texts = [f"value {number}" for number in range(1_000_000)]
    columns = {"text": "string"}
    batches = [
        to_lists(pa.RecordBatch.from_pydict({"text": texts[start : start + 65_536]}), columns)
        for start in range(0, len(texts), 65_536)
    ]
    statistics = run(tmp_path, {"train": batches})
    found = features(dataset(statistics, "train"))["text"].string_stats
    assert found.unique == pytest.approx(1_000_000, rel=0.03)
    assert common(features(dataset(statistics, "train"))["text"]).num_non_missing == 1_000_000
    assert (Path(statistics.uri) / "Split-train" / "FeatureStats.pb").stat().st_size < 200_000
