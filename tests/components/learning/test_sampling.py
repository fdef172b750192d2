from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.examples.records import row_groups, to_lists
from components.examples.records import write_shard as write_examples
from components.learning.sampling import MAX_GROUPS, draw, read_part, read_transformed
from components.transform.blocks import lay_out, write_shard

COLUMNS = lay_out({"price": ((), "float32"), "ids": ((2,), "int64")})


def write_split(folder: Path, sizes: list[int], *, transformed: list[int] | None = None) -> None:
    """Rows whose raw and transformed values are their numbers."""
    first = 0
    for index, size in enumerate(sizes):
        numbers = np.arange(first, first + size)
        batch = to_lists(pa.RecordBatch.from_pydict({"number": numbers}), {"number": "int"})
        write_examples(batch, folder / "raw" / "Split-eval", index=index, count=len(sizes))
        numbers = numbers[: (transformed or sizes)[index]]
        arrays = {"price": numbers.astype("f4"), "ids": np.stack([numbers, numbers], axis=1)}
        write_shard(arrays, COLUMNS, folder / "transformed" / "Split-eval", index=index, count=len(sizes))
        first += size


@pytest.mark.parametrize(("sizes", "rows", "expected"), [([10, 30], 8, 8), ([10, 30], 100, 40), ([3], 2, 2)])
def test_a_share_of_each_row_group(tmp_path: Path, sizes: list[int], rows: int, expected: int) -> None:
    write_split(tmp_path, sizes)
    parts = list(draw(row_groups(tmp_path / "raw", "eval"), rows=rows))
    assert sum(len(part.places) for part in parts) == expected
    assert all(len(np.unique(part.places)) == len(part.places) for part in parts)
    assert all(part.places.max() < part.group.row_count for part in parts)


def test_of_many_row_groups_some_at_even_distances(tmp_path: Path) -> None:
    write_split(tmp_path, [2] * 40)
    numbers = [part.number for part in draw(row_groups(tmp_path / "raw", "eval"), rows=1000)]
    assert len(numbers) == MAX_GROUPS
    assert (numbers[0], numbers[-1]) == (0, 39)


def test_raw_and_transformed_rows_are_the_same_in_the_same_order(tmp_path: Path) -> None:
    write_split(tmp_path, [50, 70, 20])
    for part in draw(row_groups(tmp_path / "raw", "eval"), rows=31):
        raw = np.asarray(read_part(part).column("number").flatten())
        transformed = read_transformed(part, tmp_path / "transformed", "eval")
        assert transformed is not None
        np.testing.assert_array_equal(transformed["price"], raw)
        np.testing.assert_array_equal(transformed["ids"], np.stack([raw, raw], axis=1))


def test_transformed_examples_of_other_rows_are_noticed(tmp_path: Path) -> None:
    write_split(tmp_path, [50], transformed=[49])
    [part] = draw(row_groups(tmp_path / "raw", "eval"), rows=10)
    assert read_transformed(part, tmp_path / "transformed", "eval") is None
