"""The order of training, a function of seed and step: nothing but the step number is needed to go on.

    plan = EpochPlan(row_count=len(rows), batch_size=512, seed=1)
    for batch in plan.batches(epoch=0, first=17):
        floats, ints = rows.take(batch)

An epoch visits every row once, in `Philox(key=[seed, epoch])` order (Salmon et al. 2011), in batches whose sizes
differ by at most one row: none is dropped, none is padded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.errors import DataError


@dataclass(frozen=True)
class EpochPlan:
    """Which rows make up each batch. `batch_size` counts rows over all replicas, which must number `replicas`."""

    row_count: int
    batch_size: int
    seed: int
    replicas: int = 1

    def __post_init__(self) -> None:
        if self.row_count < self.replicas:
            raise DataError(
                f"a split needs a row per device, {self.replicas}. Received: {self.row_count} rows",
                fix="use fewer `train.devices`, or check `data.splits` and the day's rows",
            )

    @property
    def steps(self) -> int:
        """Batches per epoch: as few as `batch_size` allows, and each with a row for every replica."""
        return max(1, min(-(-self.row_count // self.batch_size), self.row_count // self.replicas))

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        """The permutation of row numbers in `epoch`."""
        generator = np.random.Generator(np.random.Philox(key=np.array([self.seed, epoch], dtype=np.uint64)))
        return generator.permutation(self.row_count)

    def batches(self, epoch: int, *, first: int = 0) -> Iterator[npt.NDArray[np.int64]]:
        """Row numbers of the batches `first`, `first + 1`, … of `epoch`."""
        order = self.order(epoch)
        for step in range(first, self.steps):
            yield order[self._slice(step)]

    def ordered_batches(self) -> Iterator[slice]:
        """The rows once, as they lie on disk: for evaluation."""
        return map(self._slice, range(self.steps))

    def _slice(self, step: int) -> slice:
        return slice(step * self.row_count // self.steps, (step + 1) * self.row_count // self.steps)


def split_evenly(count: int, parts: int) -> list[slice]:
    """`parts` neighbouring slices of `count` rows whose sizes differ by at most one."""
    return [slice(part * count // parts, (part + 1) * count // parts) for part in range(parts)]
