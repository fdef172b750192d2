"""Damaged Parquet files, and large ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contract.parquet import ParquetRows
from tests.components.contract.bad_input import HEADER, csv_lines, refused, write_parquet_data
from tests.components.contract.running import DAY, data, rows, run, write_parquet


def test_an_empty_file(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, rows())
    path.write_bytes(b"")
    message = refused(tmp_path, data(tmp_path))
    assert "empty" in message and str(path) in message


def test_a_parquet_without_rows(tmp_path: Path) -> None:
    write_parquet(tmp_path, pa.table(rows()).slice(0, 0))
    assert "no rows" in refused(tmp_path, data(tmp_path))


@pytest.mark.parametrize("keep", [4, 100, -1])
def test_a_truncated_parquet(tmp_path: Path, keep: int) -> None:
    path = write_parquet(tmp_path, rows())
    path.write_bytes(path.read_bytes()[:keep])
    message = refused(tmp_path, data(tmp_path))
    assert str(path) in message and "parquet" in message


def test_a_damaged_parquet(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, rows(5000))
    content = bytearray(path.read_bytes())
    content[200:2000] = b"\xff" * 1800
    path.write_bytes(content)
    assert str(path) in refused(tmp_path, data(tmp_path))


def test_a_csv_that_is_called_parquet(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, rows())
    path.write_text(HEADER + "".join(csv_lines()))
    assert str(path) in refused(tmp_path, data(tmp_path))


def test_bytes_in_a_parquet_that_are_not_utf8(tmp_path: Path) -> None:
    made = rows() | {"query": pa.array([b"stra\xdfe"] * 100, pa.binary())}
    assert "'query' is not UTF-8" in refused(tmp_path, write_parquet_data(tmp_path, made))


def test_a_page_with_one_flipped_bit(tmp_path: Path) -> None:
    path = tmp_path / f"day={DAY}" / "a.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table(rows(5000)), path, compression=None, use_dictionary=False, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[content.index(b"red shoes 3000")] ^= 1
    path.write_bytes(content)
    message = refused(tmp_path, data(tmp_path))
    assert str(path) in message and "checksum" in message.casefold()


def test_a_giant_row_group_is_read_a_piece_at_a_time(tmp_path: Path) -> None:
    path, random = tmp_path / "giant.parquet", np.random.default_rng(1)
    table = pa.table({f"column{number}": random.random(1_000_000) for number in range(4)})
    pq.write_table(table, path, row_group_size=table.num_rows, compression=None, use_dictionary=False)
    assert pq.read_metadata(path).num_row_groups == 1 and path.stat().st_size > 30_000_000
    del table
    before, held, counts = pa.total_allocated_bytes(), 0, []
    for part in ParquetRows(path).parts([]):
        counts.append(part.num_rows)
        held = max(held, pa.total_allocated_bytes() - before)
    assert sum(counts) == 1_000_000 and max(counts) <= 65_536
    assert held < 16_000_000


def test_several_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.table(rows())
    assert "several columns item" in refused(
        tmp_path, write_parquet_data(tmp_path, table.append_column("item", table["item"]))
    )


def test_nested_columns_that_nobody_declared_tell_rows_apart(tmp_path: Path) -> None:
    made = {name: [values[0]] * 3 for name, values in rows(1).items()}
    made |= {"context": [{"page": [1, 2]}, {"page": [1]}, {"page": [1, 2]}]}
    result = run(tmp_path / "out", write_parquet_data(tmp_path, made) | {"min_rows": 1, "max_quarantined": 1})
    assert result.rows.num_rows == 2 and result.quarantine[0]["context"] == "{'page': [1, 2]}"


def test_a_file_without_rows_beside_others_is_no_fault(tmp_path: Path) -> None:
    write_parquet(tmp_path, rows())
    write_parquet(tmp_path, pa.table(rows()).slice(0, 0), name="b.parquet")
    assert run(tmp_path / "out", data(tmp_path)).rows.num_rows == 100
