"""Which negatives are kept, and their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.examples.records import row_groups, to_lists
from components.examples.sampling import downsample, row_hashes
from components.examples.splitting import split_rows
from pipelines.errors import DataError
from pipelines.spec import Data
from tests.components.examples.making import COLUMNS, DATA, FOUR_THREADS, contents, rows_of, run, table

WEIGHT = "example_weight"


def sampled_data(**changes: Any) -> Data:
    return Data.model_validate(DATA.model_dump() | {"downsample": {"keep_negatives": 0.25} | changes})


def lists(day: pa.Table) -> pa.RecordBatch:
    return to_lists(day.combine_chunks().to_batches()[0], COLUMNS)


def kept_of(day: pa.Table, *, keep: float = 0.25) -> pa.RecordBatch:
    return downsample(lists(day), label="bought", keep_negatives=keep, weight=WEIGHT)


def rows_in(batch: pa.RecordBatch) -> set[str]:
    return {str(row) for row in batch.drop_columns([WEIGHT]).to_pylist()}


def test_all_positives_and_a_share_of_the_negatives_with_the_weight_of_all() -> None:
    day = table(4000)
    kept = kept_of(day)
    labels = kept.column("bought").flatten().to_numpy()
    weights = kept.column(WEIGHT).flatten().to_numpy()
    assert labels.sum() == 800
    assert set(weights[labels == 1]) == {1.0} and set(weights[labels == 0]) == {4.0}
    assert weights.sum() == pytest.approx(4000, rel=0.1)


def test_the_order_of_rows_and_columns_does_not_matter() -> None:
    day = table(1000)
    mixed = day.take(np.random.default_rng(1).permutation(1000)).select(sorted(day.column_names))
    assert rows_in(kept_of(mixed).select([*COLUMNS, WEIGHT])) == rows_in(kept_of(day))


def test_a_smaller_share_is_a_part_of_a_larger_one() -> None:
    assert rows_in(kept_of(table(2000), keep=0.05)) < rows_in(kept_of(table(2000), keep=0.5))


def test_no_split_keeps_more_than_another() -> None:
    """Rows of one user are kept one by one, by another hash than that of the split."""
    day = table(20_000)
    hashes = row_hashes(lists(day)) / 2.0**64
    for rows in split_rows(day["user"].combine_chunks(), {"a": 1, "b": 1, "c": 1}).values():
        assert np.mean(hashes[rows] < 0.25) == pytest.approx(0.25, abs=0.03)


def test_hashes_never_change_and_every_value_has_a_part_in_them() -> None:
    day = table(3)
    assert row_hashes(lists(day)).tolist() == HASHES
    for name in COLUMNS:
        column = day[name].to_pylist()
        column[0] = {"user": "other", "price": 0.5, "count": 9, "bought": False, "words": ["b"], "history": [3]}[name]
        changed = day.set_column(day.column_names.index(name), name, pa.array(column, day[name].type))
        found = row_hashes(lists(changed)).tolist()
        assert found[0] != HASHES[0] and found[1:] == HASHES[1:], name


def test_values_of_a_list_have_places_and_do_not_flow_into_the_next_row() -> None:
    def hashes(*rows: list[int]) -> list[int]:
        found: list[int] = row_hashes(
            pa.RecordBatch.from_pydict({"x": pa.array(rows, pa.large_list(pa.int64()))})
        ).tolist()
        return found

    assert len(set(hashes([1, 2], [2, 1], [1], [2], [], [0]))) == 6
    assert hashes([7], [1, 2])[1] == hashes([1, 2])[0]


def test_the_day_stays_whole_beside_the_sample(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", table(2000))
    examples = run(tmp_path / "sampled", table(2000), data=sampled_data())
    sample = tmp_path / "sampled" / "sample"
    assert contents(examples.uri) == contents(whole.uri)
    assert [path.name for path in sample.iterdir()] == ["Split-train"]
    assert sum(group.row_count for group in row_groups(sample, "train")) < rows_of(examples, "train").num_rows / 2


def test_a_sample_is_the_same_bytes_with_four_threads(tmp_path: Path) -> None:
    data = sampled_data(splits=["train", "eval"])
    run(tmp_path / "one", table(2000), data=data)
    run(tmp_path / "four", table(2000), data=data, arguments=FOUR_THREADS)
    found = contents(str(tmp_path / "one" / "sample"))
    assert len(found) == 40 and found == contents(str(tmp_path / "four" / "sample"))


def test_other_labels_than_0_and_1_are_refused() -> None:
    counts = lists(table(9).set_column(2, "count", [[0, 1, 2, 7, 0, 1, 2, 7, 0]]))
    with pytest.raises(DataError, match="a label of 0 and 1 in every row. Received: 2, 7") as caught:
        downsample(counts, label="count", keep_negatives=0.5, weight=WEIGHT)
    assert "'count'" in caught.value.fix
    missing = table(2).set_column(3, "bought", [pa.array([None, True])])
    with pytest.raises(DataError, match="rows without one"):
        kept_of(missing)


HASHES = [11461061690981883597, 5599655674973038092, 3734578700492071745]
