"""Partials are merged in input order, whatever the runner does."""

from __future__ import annotations

import random
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from components.aggregation import Aggregate, Kernel, _MergeMet, _pack, _unpack
from components.days.merging import ByDay, read_pickled, write_pickled

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


class _Part:
    """Says how many of it are in memory."""

    alive: weakref.WeakSet[_Part] = weakref.WeakSet()

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers
        self.alive.add(self)

    def __reduce__(self) -> tuple[type[_Part], tuple[list[int]]]:
        return _Part, (self.numbers,)


class _Parted(Kernel[int, list[_Part]]):
    """Concatenations of the element and of its negative."""

    most_alive = 0

    def partial(self, element: int) -> list[_Part]:
        return [_Part([element]), _Part([-element])]

    def merge(self, partials: Sequence[list[_Part]]) -> list[_Part]:
        return [self.merge_part(number, parts) for number, parts in enumerate(zip(*partials, strict=True))]

    def parts(self, partial: list[_Part]) -> dict[int, _Part]:
        return dict(enumerate(partial))

    def merge_part(self, key: int, parts: Sequence[_Part]) -> _Part:
        _Parted.most_alive = max(_Parted.most_alive, len(_Part.alive))
        return _Part([value for part in parts for value in part.numbers])

    def whole(self, parts: Mapping[int, _Part]) -> list[_Part]:
        return list(parts.values())


@pytest.mark.parametrize("by_day", [False, True])
def test_of_all_partials_one_part_at_a_time_is_in_memory(by_day: bool, tmp_path: Path) -> None:
    kernel: Kernel[Any, Any] = ByDay(_Parted()) if by_day else _Parted()
    _Parted.most_alive = 0
    with beam.Pipeline(argv=RUNNER) as pipeline:
        elements = [(index, ("2026-01-05", index) if by_day else index) for index in range(12)]
        merged = pipeline | beam.Create(elements) | Aggregate(kernel, fan_in=12)
        _ = merged | beam.Map(write_pickled, tmp_path / "merged")
    found = read_pickled(tmp_path / "merged")
    first, second = found["2026-01-05"] if by_day else found
    assert (first.numbers, second.numbers) == (list(range(12)), [-number for number in range(12)])
    assert 12 <= _Parted.most_alive < 2 * 12


def test_neighbours_are_merged_before_beam_holds_them_once_all_have_come() -> None:
    merging = _MergeMet(_Concatenation(), 3, 1)
    numbered = [(index, {None: _pack([index])}) for index in range(5)]
    merging.start_bundle()
    [merged] = [found for index in (4, 2, 0, 3, 1) for found in merging.process((index // 3, numbered[index]))]
    left = [found.value for found in merging.finish_bundle()]
    assert merged.value[0] is None and merged.value[1][0] == 0 and _unpack(merged.value[1][1][None]) == [0, 1, 2]
    assert left == [(1, numbered[4]), (1, numbered[3])]
