"""Days that a test makes wrong, and how their runs end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.errors import DataError, DaybreakError
from tests.components.contract.running import DAY, csv_data, data, run, write_parquet

HEADER = "user,item,price,new,query,clicked\n"


def csv_lines(count: int = 100) -> list[str]:
    return [
        f"u{row % 17},{row},{10 + row % 7}.5,{row % 2 == 0},red shoes {row},{int(row % 5 == 0)}\n"
        for row in range(count)
    ]


def write_lines(folder: Path, lines: list[str] | list[bytes]) -> dict[str, Any]:
    """Writes a CSV day; returns its `Spec.data`."""
    path = folder / f"{DAY}.csv"
    path.write_bytes(HEADER.encode() + b"".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return csv_data(path)


def refused(folder: Path, spec: dict[str, Any], error: type[DaybreakError] = DataError, **parameters: Any) -> str:
    """The message of the error that the run ends in; nothing is left in its output folders."""
    with pytest.raises(error) as raised:
        run(folder / "out", spec, **parameters)
    assert raised.value.fix
    assert not [path for path in (folder / "out").rglob("*") if path.is_file()]
    assert len(str(raised.value)) < 1500
    return str(raised.value)


def write_parquet_data(folder: Path, columns: dict[str, Any] | pa.Table) -> dict[str, Any]:
    """Writes a Parquet day; returns its `Spec.data`."""
    write_parquet(folder, columns)
    return data(folder)
