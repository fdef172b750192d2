from __future__ import annotations

import numpy as np
import pytest

from components.baselines.executor import _why_not
from pipelines.spec import BaselineModel
from tests.components.baselines.conftest import lesson_of


@pytest.mark.parametrize(
    ("name", "labels", "reason"),
    [
        ("constant", [1, 1, 1], ""),
        ("linear", [1, 1, 1], "all labels of the train split are 1"),
        ("trees", [0, 0, 0], "all labels of the train split are 0"),
        ("trees", [0, 1, 0], ""),
    ],
)
def test_one_label_teaches_a_constant_only(name: BaselineModel, labels: list[float], reason: str) -> None:
    assert _why_not(name, lesson_of({"x": np.zeros((3, 1), "f4")}, labels)) == reason
