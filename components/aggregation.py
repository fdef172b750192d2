"""A partial result of every row group, merged in input order: the same bytes however many workers there are.

    merged = row_groups | Aggregate(kernel)      # row_groups: (index, element); merged: one partial, or none for no rows

Beam's own combiners merge in the order of arrival, and sums of floats and sketches depend on it.
"""

from __future__ import annotations

import abc
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import apache_beam as beam
import pyarrow as pa

from components.concurrency import Concurrently, threads_of

FAN_IN = 64
"""Partials merged by one worker before the last one merges the rest."""

Element = TypeVar("Element")
Partial = TypeVar("Partial")
Map = Callable[..., Iterable[Any]]
"""`map`, or the one of a pool of threads."""


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

    def merge_parts(self, partials: Sequence[Partial], run: Map) -> Partial:
        """The same as `merge`. A partial whose parts are merged apart from each other runs them over `run`."""
        del run
        return self.merge(partials)


class Aggregate(beam.PTransform):  # type: ignore[misc]
    def __init__(self, kernel: Kernel[Any, Any], *, fan_in: int = FAN_IN) -> None:
        super().__init__()
        self._kernel, self._fan_in = kernel, fan_in

    def expand(self, row_groups: Any) -> Any:
        threads = threads_of(row_groups.pipeline)
        return (
            row_groups
            | "Partial" >> Concurrently(_Partial(self._kernel, self._fan_in))
            | "Neighbours" >> beam.GroupByKey()
            | "MergeNeighbours" >> beam.Map(_merge_neighbours, self._kernel, threads)
            | "All" >> beam.GroupByKey()
            | "MergeAll" >> beam.Map(_merge_all, self._kernel, threads)
        )


class _Partial(beam.DoFn):  # type: ignore[misc]
    def __init__(self, kernel: Kernel[Any, Any], fan_in: int) -> None:
        self._kernel, self._fan_in = kernel, fan_in

    def setup(self) -> None:
        self._kernel.setup()

    def process(self, element: tuple[int, Any]) -> Iterator[tuple[int, tuple[int, bytes]]]:
        index, row_group = element
        yield index // self._fan_in, (index, _pack(self._kernel.partial(row_group)))


def _merge_neighbours(
    element: tuple[int, Iterable[tuple[int, bytes]]], kernel: Kernel[Any, Any], threads: int
) -> tuple[None, tuple[int, bytes]]:
    group, partials = element
    return None, (group, _pack(_in_order(partials, kernel, threads)))


def _merge_all(element: tuple[None, Iterable[tuple[int, bytes]]], kernel: Kernel[Any, Any], threads: int) -> Any:
    return _in_order(element[1], kernel, threads)


def _in_order(partials: Iterable[tuple[int, bytes]], kernel: Kernel[Any, Any], threads: int) -> Any:
    packed = [partial for _, partial in sorted(partials, key=lambda item: item[0])]
    with ThreadPoolExecutor(threads) as pool:
        return kernel.merge_parts(list(pool.map(_unpack, packed)), pool.map)


def _pack(partial: Any) -> bytes:
    # Beam holds all of them, some four times over. Counts of tokens shrink to a fifth, in less time than plain pickling.
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        pickle.dump(partial, stream, protocol=pickle.HIGHEST_PROTOCOL)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def _unpack(packed: bytes) -> Any:
    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
        return pickle.load(stream)  # noqa: S301 - our own workers wrote it
