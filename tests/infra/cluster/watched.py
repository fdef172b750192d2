"""The real kernels, with a line in a file for every row group, and time to kill what works on it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.examples.records import RowGroup
from components.statistics.executor import Accumulators, FeatureStatistics
from components.transform import application

PAUSE_SECS = 0.7

_TransformRowGroup = application._TransformRowGroup
"""Before a test puts ours in its place."""


def note(log: str, element: object) -> None:
    with Path(log).open("a") as file:
        file.write(f"{os.getpid()} {element}\n")
    time.sleep(PAUSE_SECS)


class Statistics(FeatureStatistics):
    def __init__(self, log: str) -> None:
        self._log = log

    def partial(self, element: Sequence[RowGroup]) -> Accumulators:
        for row_group in element:
            note(self._log, row_group.path)
        return super().partial(element)


class TransformRowGroup(_TransformRowGroup):
    def __init__(self, log: str, *given: Any) -> None:
        super().__init__(*given)
        self._log = log

    def process(self, work: Any) -> None:
        note(self._log, work.row_group.path)
        super().process(work)
