from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.baselines.lesson import read_lesson
from components.training.rows import Rows, RowsWriter
from components.transform.blocks import lay_out
from pipelines.errors import DataError


def packed(folder: Path, labels: list[float], weights: list[float]) -> Rows:
    columns = lay_out({"label": ((1,), "float32"), "weight": ((1,), "float32"), "item": ((1,), "int64")})
    with RowsWriter(folder, columns) as writer:
        writer.append(np.array([labels, weights], "<f4").T, np.arange(len(labels), dtype="<i8")[:, None])
    return Rows(folder)


def test_weights_have_a_mean_of_1_and_are_no_feature(tmp_path: Path) -> None:
    rows = packed(tmp_path, [0, 1, 1], [1, 2, 3])
    lesson = read_lesson(rows, label="label", weight="weight", max_rows=9, seed=1)
    assert set(lesson.arrays) == {"item"} and lesson.is_binary
    assert lesson.weights.tolist() == [0.5, 1, 1.5]
    assert lesson.mean_label == pytest.approx(5 / 6)


def test_of_many_rows_some_are_drawn_in_their_order(tmp_path: Path) -> None:
    rows = packed(tmp_path, [float(n) for n in range(100)], [1.0] * 100)
    lesson = read_lesson(rows, label="label", weight=None, max_rows=10, seed=1)
    assert len(lesson.labels) == 10 and (np.diff(lesson.labels) > 0).all() and not lesson.is_binary
    assert lesson.arrays["item"].ravel().tolist() == lesson.labels.tolist()


@pytest.mark.parametrize(("labels", "weights"), [([0, np.nan], [1, 1]), ([0, 1], [1, -1]), ([0, 1], [0, 0])])
def test_what_cannot_be_learned_from_is_refused(tmp_path: Path, labels: list[float], weights: list[float]) -> None:
    with pytest.raises(DataError, match=r"Received: .* from"):
        read_lesson(packed(tmp_path, labels, weights), label="label", weight="weight", max_rows=9, seed=1)
