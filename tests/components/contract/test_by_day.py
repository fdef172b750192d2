from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from great_expectations import expectations as gxe

from components.contract import by_day
from components.contract.by_day import validate_day
from pipelines.errors import UserCodeError


def written(folder: Path, **columns: Any) -> Path:
    path = folder / "rows.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def not_in_memory(rows: pa.Table, expectations: Sequence[Any]) -> Any:
    raise AssertionError(f"loads {rows.column_names}")


def test_aggregates_are_computed_without_loading_the_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_day, "run_whole", not_in_memory)
    path = written(tmp_path / "it's [a] folder*", price=[1.0, 2.0, 6.0], user=["a", "b", None])
    found = validate_day(
        path,
        [
            gxe.ExpectColumnMeanToBeBetween(column="price", min_value=2, max_value=4),
            gxe.ExpectColumnUniqueValueCountToBeBetween(column="user", min_value=3),
            gxe.ExpectTableRowCountToEqual(value=3),
        ],
    )
    assert [(item.success, item.result["observed_value"]) for item in found] == [(True, 3), (False, 2), (True, 3)]


def test_the_others_load_only_their_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    run_whole = by_day.run_whole
    monkeypatch.setattr(
        by_day, "run_whole", lambda rows, asked: loaded.extend(rows.column_names) or run_whole(rows, asked)
    )
    path = written(tmp_path, price=[1.0, 2.0, 6.0], user=["a", "b", None], new=[True, True, False])
    found = validate_day(
        path,
        [
            gxe.ExpectColumnMedianToBeBetween(column="price", max_value=1),
            gxe.ExpectColumnUniqueValueCountToBeBetween(column="user", min_value=2),
            gxe.ExpectColumnMeanToBeBetween(column="new", min_value=0.5),
        ],
    )
    assert [bool(item.success) for item in found] == [False, True, True] and loaded == ["price", "new"]


def test_what_neither_can_compute_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, price=[1.0], user=["a"])
    with pytest.raises(UserCodeError, match="user mean to be between"):
        validate_day(path, [gxe.ExpectColumnMeanToBeBetween(column="user", min_value=0)])
