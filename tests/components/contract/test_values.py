from __future__ import annotations

import pyarrow as pa
import pytest

from components.contract.values import convert
from pipelines.spec import ColumnType


def test_a_text_column_of_other_bytes_is_not_taken_for_utf8() -> None:
    latin = pa.array([b"M\xfcnchen", b"Berlin"], pa.binary())
    lie = pa.Array.from_buffers(pa.string(), len(latin), latin.buffers())
    with pytest.raises(pa.ArrowInvalid, match="UTF8"):
        convert(lie, ColumnType.STRING, name="city")


def test_text_stays_text() -> None:
    assert convert(pa.array(["", None, "München"]), ColumnType.STRING, name="city").values.to_pylist() == [
        "",
        None,
        "München",
    ]
