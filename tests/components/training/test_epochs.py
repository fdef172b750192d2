from __future__ import annotations

import numpy as np
import pytest

from components.training.epochs import EpochPlan, split_evenly
from pipelines.errors import DataError


@pytest.mark.parametrize(
    ("row_count", "batch_size", "replicas"), [(10, 3, 1), (10, 4, 2), (7, 8, 2), (3, 2, 2), (128, 128, 2)]
)
def test_an_epoch_holds_every_row_once(row_count: int, batch_size: int, replicas: int) -> None:
    plan = EpochPlan(row_count, batch_size, seed=1, replicas=replicas)
    batches = list(plan.batches(0))
    assert len(batches) == plan.steps
    assert sorted(np.concatenate(batches)) == list(range(row_count))
    sizes = [len(batch) for batch in batches]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= replicas


def test_order_depends_on_seed_and_epoch_only() -> None:
    plan = EpochPlan(1000, 10, seed=1)
    np.testing.assert_array_equal(plan.order(3), EpochPlan(1000, 64, seed=1, replicas=2).order(3))
    assert not np.array_equal(plan.order(3), plan.order(4))
    assert not np.array_equal(plan.order(3), EpochPlan(1000, 10, seed=2).order(3))


def test_an_epoch_can_begin_anywhere() -> None:
    plan = EpochPlan(1000, 64, seed=1)
    for late, whole in zip(plan.batches(2, first=9), list(plan.batches(2))[9:], strict=True):
        np.testing.assert_array_equal(late, whole)


def test_order_is_the_same_on_every_machine() -> None:
    """Philox is specified bit for bit; this pins how it is keyed."""
    assert EpochPlan(10, 2, seed=7).order(1).tolist() == [1, 9, 2, 8, 5, 0, 4, 3, 7, 6]


def test_fewer_rows_than_devices_is_a_data_error() -> None:
    with pytest.raises(DataError, match="Received: 1 rows"):
        EpochPlan(1, 8, seed=1, replicas=2)


def test_split_evenly() -> None:
    assert [(part.start, part.stop) for part in split_evenly(7, 3)] == [(0, 2), (2, 4), (4, 7)]
