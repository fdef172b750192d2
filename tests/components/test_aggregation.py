"""Partials are merged in input order, whatever the runner does."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import pytest

from components.aggregation import Aggregate, Kernel

RUNNER = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", "--direct_running_mode=in_memory"]
MODES = {
    "one thread": [],
    "four threads": ["--row_group_threads=4"],
}


class _Concatenation(Kernel[int, list[int]]):
    """Order is all it has."""

    def setup(self) -> None:
        self.factor = 10

    def partial(self, element: int) -> list[int]:
        time.sleep(random.uniform(0, 0.002))
        return [element * self.factor]

    def merge(self, partials: Sequence[list[int]]) -> list[int]:
        return [number for partial in partials for number in partial]


def _run(elements: list[tuple[int, int]], mode: str, folder: Path, *, fan_in: int = 4) -> list[str]:
    with beam.Pipeline(argv=[*RUNNER, *MODES[mode]]) as pipeline:
        _ = (
            pipeline
            | beam.Create(elements, reshuffle=False)
            | Aggregate(_Concatenation(), fan_in=fan_in)
            | beam.Map(str)
            | beam.io.WriteToText(str(folder / "merged"), shard_name_template="")
        )
    return (folder / "merged").read_text().splitlines()


@pytest.mark.parametrize("mode", sorted(MODES))
def test_input_order_wins_over_arrival(mode: str, tmp_path: Path) -> None:
    elements = [(index, index) for index in range(30)]
    random.Random(1).shuffle(elements)

    assert _run(elements, mode, tmp_path) == [str([10 * index for index in range(30)])]


def test_one_element_is_merged_with_itself(tmp_path: Path) -> None:
    assert _run([(0, 7)], "one thread", tmp_path) == ["[70]"]


def test_nothing_gives_nothing(tmp_path: Path) -> None:
    assert _run([], "one thread", tmp_path) == []
