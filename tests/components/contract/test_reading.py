from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.contract import reading
from components.contract.parquet import ParquetRows
from components.contract.reading import BATCH_ROWS, RawDay
from pipelines.spec import Data
from tests.components.contract.running import changed, data, rows, write_parquet


def counts(folder: Path, *files: tuple[int, int]) -> list[int]:
    """Rows of each batch over files of so many rows in row groups of so many."""
    opened = []
    for number, (count, group) in enumerate(files):
        path = write_parquet(folder, rows(count), name=f"{number}.parquet")
        pq.write_table(pq.read_table(path), path, row_group_size=group)
        opened.append(ParquetRows(path))
    return [batch.count for batch in RawDay(opened, Data.model_validate(data(folder))).batches()]


def test_a_large_row_group_is_read_in_pieces(tmp_path: Path) -> None:
    assert counts(tmp_path, (150_000, 150_000)) == [BATCH_ROWS, BATCH_ROWS, 150_000 - 2 * BATCH_ROWS]


def test_small_row_groups_and_files_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH_ROWS", 100)
    assert counts(tmp_path, (60, 7), (30, 30), (70, 70), (5, 5)) == [160, 5]


def test_a_day_can_be_read_again(tmp_path: Path) -> None:
    day = RawDay([ParquetRows(write_parquet(tmp_path, rows()))], Data.model_validate(data(tmp_path)))
    first, second = ([batch.typed for batch in day.batches()] for _ in range(2))
    assert first == second


def test_the_reasons_have_one_order_in_all_batches(tmp_path: Path) -> None:
    day = RawDay(
        [ParquetRows(write_parquet(tmp_path, changed("price", {7: float("inf")})))], Data.model_validate(data(tmp_path))
    )
    (batch,) = day.batches()
    assert list(batch.wrong)[:3] == [
        "user: longer than 1,048,576 bytes",
        "item: not of type int",
        "price: not of type float",
    ]
    assert batch.wrong["price: infinite or beyond float32"].tolist() == [row == 7 for row in range(100)]
