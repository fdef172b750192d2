"""The generated log of the data benchmark, and that its peers compute the same from it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from tests.benchmarks.data_plane import log
from tests.benchmarks.data_plane.columns import CATEGORIES, LABEL, NUMBERS, USER, VOCABULARY_LIMIT
from tests.benchmarks.data_plane.log import GROUP_ROWS, batches, csv_file, log_schema, parquet_file, write_log
from tests.benchmarks.data_plane.sides import duckdb_side, polars_side

ROWS = 6_000


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    write_log(folder, rows=ROWS)
    return folder


@pytest.fixture(scope="module")
def rows(day: Path) -> pa.Table:
    return pq.read_table(parquet_file(day), partitioning=None)


def test_the_same_seed_gives_the_same_rows_and_another_one_others() -> None:
    [first], [again], [other] = (list(batches(rows=500, seed=seed)) for seed in (3, 3, 4))
    assert first.equals(again)
    assert not first.equals(other)


def test_a_smaller_log_is_the_beginning_of_a_larger_one() -> None:
    larger = list(batches(rows=GROUP_ROWS + 700))
    assert [batch.num_rows for batch in larger] == [GROUP_ROWS, 700]
    [smaller] = batches(rows=900)
    assert smaller.equals(larger[0].slice(0, 900))
    assert not larger[1].equals(larger[0].slice(0, 700))


def test_both_files_hold_the_same_rows(day: Path, rows: pa.Table) -> None:
    file = pq.ParquetFile(parquet_file(day))
    assert rows.num_rows == ROWS
    assert max(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)) <= GROUP_ROWS
    header = csv_file(day).read_text().splitlines()[0]
    assert header.split(",") == log_schema().names
    options = pa_csv.ConvertOptions(column_types=log_schema(), strings_can_be_null=True)
    assert pa_csv.read_csv(csv_file(day), convert_options=options).equals(rows)


def test_a_log_that_was_interrupted_is_written_again(
    tmp_path: Path, rows: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(**_: Any) -> Any:
        yield next(batches(rows=10))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(log, "batches", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_log(tmp_path, rows=ROWS)
    assert not parquet_file(tmp_path).exists()
    write_log(tmp_path, rows=ROWS)
    assert pq.read_table(parquet_file(tmp_path), partitioning=None).equals(rows)


def test_columns_are_as_declared() -> None:
    [batch] = batches(rows=GROUP_ROWS)
    for name, number in NUMBERS.items():
        column = batch.column(name)
        assert column.null_count / GROUP_ROWS == pytest.approx(number.missing, abs=0.01)
    for name, category in CATEGORIES.items():
        column = batch.column(name)
        assert column.null_count / GROUP_ROWS == pytest.approx(category.missing, abs=0.01)
        assert len(column.drop_null().unique()) <= category.distinct
        assert set(pa.compute.utf8_length(column.drop_null()).to_pylist()) == {8}
        # All digits, and a CSV reader takes the column for numbers.
        assert any(not value.isdigit() for value in column.drop_null().unique().to_pylist())
    assert len(batch.column("c03").unique()) > 0.9 * GROUP_ROWS * 0.97
    assert 0.1 < np.mean(batch.column(LABEL).to_numpy()) < 0.4
    zeros = pa.compute.sum(pa.compute.equal(batch.column("n02"), 0)).as_py()
    assert zeros > 1000
    wrong = pa.compute.sum(pa.compute.less(batch.column("n13"), 0)).as_py()
    assert 0 < wrong < 0.002 * GROUP_ROWS


def test_frequencies_follow_a_power_law() -> None:
    [batch] = batches(rows=GROUP_ROWS)
    counts = sorted(Counter(batch.column("c10").to_pylist()).values(), reverse=True)
    assert counts[0] / counts[9] == pytest.approx(10**1.1, rel=0.35)


@pytest.mark.parametrize("limit", [VOCABULARY_LIMIT, 50])
@pytest.mark.parametrize("side", [polars_side, duckdb_side])
def test_peers_make_the_features_of_tft(
    side: ModuleType, limit: int, day: Path, rows: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side, "VOCABULARY_LIMIT", limit)
    side.write_transformed(parquet_file(day), tmp_path)
    train = np.asarray(rows[USER]) % 5 < 4
    learned, others = rows.filter(pa.array(train)), rows.filter(pa.array(~train))
    for name in ("c01", "c03", "c22"):
        counts = Counter(token for token in learned[name].to_pylist() if token)
        expected = sorted(counts, key=lambda token: (counts[token], token), reverse=True)[:limit]
        assert (tmp_path / f"{name}.txt").read_text().splitlines() == expected
        ids = {token: index for index, token in enumerate(expected)}
        for split, part in (("train", learned), ("eval", others)):
            found = pq.read_table(tmp_path / f"{split}.parquet")
            assert found[name].to_pylist() == [ids.get(token, len(ids)) for token in part[name].to_pylist()]
            assert found[LABEL].equals(part[LABEL])
    values = np.nan_to_num(learned["n01"].to_numpy().astype(float))
    scores = pq.read_table(tmp_path / "train.parquet")["n01"].to_numpy()
    np.testing.assert_allclose(scores, (values - values.mean()) / values.std(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", [polars_side, duckdb_side])
def test_peers_compute_the_statistics(side: ModuleType, day: Path, rows: pa.Table, tmp_path: Path) -> None:
    side.write_statistics(parquet_file(day), tmp_path)
    found = json.loads((tmp_path / "statistics.json").read_text())
    train = rows.filter(pa.array(np.asarray(rows[USER]) % 5 < 4))
    number = next(row for row in found["numbers"] if row["train"])["n03"]
    values = train["n03"].drop_null().to_numpy().astype(float)
    assert (number["count"], number["missing"]) == (len(values), train["n03"].null_count)
    assert number["zeros"] == (values == 0).sum()
    assert (number["min"], number["max"], number["median"]) == (values.min(), values.max(), np.median(values))
    assert number["mean"] == pytest.approx(values.mean(), rel=1e-5)
    assert number["std"] == pytest.approx(values.std(), rel=1e-4)
    assert len(number["deciles"]) == 9
    assert number["deciles"] == pytest.approx(np.quantile(values, np.arange(1, 10) / 10), rel=0.1, abs=1)
    category = next(row for row in found["categories"]["c22"] if row["train"])
    counts = Counter(token for token in train["c22"].to_pylist() if token is not None)
    assert category["missing"] == train["c22"].null_count
    assert len(counts) in (category.get("distinct"), category.get("distinct_values"))
    expected = sorted(((count, token) for token, count in counts.items()), reverse=True)
    top = [(item.get("len", item.get("n")), item.get("c22", item.get("token"))) for item in category["top"]]
    assert top == expected
