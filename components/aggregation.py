"""A partial result of every row group, merged in input order: the same bytes however many workers there are.

    merged = row_groups | Aggregate(kernel)      # row_groups: (index, element); merged: one partial, or none for no rows

Beam's own combiners merge in the order of arrival, and sums of floats and sketches depend on it.
"""

from __future__ import annotations

import abc
import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import apache_beam as beam

from components.concurrency import Concurrently

FAN_IN = 64
"""Partials merged by one worker before the last one merges the rest."""

Element = TypeVar("Element")
Partial = TypeVar("Partial")


class Kernel(abc.ABC, Generic[Element, Partial]):
    """Pickled to the workers before `setup`; threads share it, so `partial` must not change it."""

    def setup(self) -> None:
        """Once per worker: loads what is too heavy to pickle."""

    @abc.abstractmethod
    def partial(self, element: Element) -> Partial:
        """The result of one row group; it is pickled, so it holds no slice of a larger batch."""

    @abc.abstractmethod
    def merge(self, partials: Sequence[Partial]) -> Partial:
        """Of neighbours, in input order; of one partial too."""


class Aggregate(beam.PTransform):  # type: ignore[misc]
    def __init__(self, kernel: Kernel[Any, Any], *, fan_in: int = FAN_IN) -> None:
        super().__init__()
        self._kernel, self._fan_in = kernel, fan_in

    def expand(self, row_groups: Any) -> Any:
        return (
            row_groups
            | "Partial" >> Concurrently(_Partial(self._kernel, self._fan_in))
            | "Neighbours" >> beam.GroupByKey()
            | "MergeNeighbours" >> beam.Map(_merge_neighbours, self._kernel)
            | "All" >> beam.GroupByKey()
            | "MergeAll" >> beam.Map(_merge_all, self._kernel)
        )


class _Partial(beam.DoFn):  # type: ignore[misc]
    def __init__(self, kernel: Kernel[Any, Any], fan_in: int) -> None:
        self._kernel, self._fan_in = kernel, fan_in

    def setup(self) -> None:
        self._kernel.setup()

    def process(self, element: tuple[int, Any]) -> Iterator[tuple[int, tuple[int, bytes]]]:
        index, row_group = element
        yield index // self._fan_in, (index, pickle.dumps(self._kernel.partial(row_group)))


def _merge_neighbours(
    element: tuple[int, Iterable[tuple[int, bytes]]], kernel: Kernel[Any, Any]
) -> tuple[None, tuple[int, bytes]]:
    group, partials = element
    return None, (group, pickle.dumps(_in_order(partials, kernel)))


def _merge_all(element: tuple[None, Iterable[tuple[int, bytes]]], kernel: Kernel[Any, Any]) -> Any:
    return _in_order(element[1], kernel)


def _in_order(partials: Iterable[tuple[int, bytes]], kernel: Kernel[Any, Any]) -> Any:
    ordered = sorted(partials, key=lambda item: item[0])
    return kernel.merge([pickle.loads(partial) for _, partial in ordered])  # noqa: S301 - our own workers wrote it
