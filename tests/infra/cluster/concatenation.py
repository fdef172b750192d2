"""What the workers import: a kernel of which order is all it has."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from components.aggregation import Kernel


class Concatenation(Kernel[int, list[int]]):
    def __init__(self, *, pause_secs: float = 0.0, log: str = "") -> None:
        self._pause_secs, self._log = pause_secs, log

    def setup(self) -> None:
        self.factor = 10

    def partial(self, element: int) -> list[int]:
        time.sleep(self._pause_secs)
        if self._log:
            with Path(self._log).open("a") as log:
                log.write(f"{os.getpid()} {element}\n")
        return [element * self.factor]

    def merge(self, partials: Sequence[list[int]]) -> list[int]:
        return [number for partial in partials for number in partial]


def refuse(element: object) -> NoReturn:
    raise ValueError(f"the user's own words about {element}")
