from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from components.evaluation.scoring import MISSING, _as_text


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.large_binary(), [[b"a"], None, [], [b"", b"\xff"], [b"a"]], [[b"a"], [MISSING], [MISSING], [b"", b"\xff"], [b"a"]]),
        (pa.int64(), [[3], None, [-1, 3], []], [[b"3"], [MISSING], [b"-1", b"3"], [MISSING]]),
        (pa.float32(), [[0.5], [0.1], [float("nan")], None], [[b"0.5"], [b"0.10000000149011612"], [b"nan"], [MISSING]]),
        (pa.float32(), [None, [], None], [[MISSING]] * 3),
        (pa.int64(), [], []),
    ],
)  # fmt: skip
def test_values_to_slice_by_are_text_and_a_missing_one_is_a_value(
    kind: pa.DataType, values: Any, expected: Any
) -> None:
    column = pa.array(values, pa.large_list(kind))
    assert _as_text(column).to_pylist() == expected
    assert _as_text(column).type == pa.large_list(pa.large_binary())
    assert _as_text(column.slice(1)).to_pylist() == expected[1:]
