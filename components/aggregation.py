"""A partial result of every row group, merged in input order: the same bytes however many workers there are.

    merged = row_groups | Aggregate(kernel)      # row_groups: (index, element); merged: one partial, or none for no rows

Beam's own combiners merge in the order of arrival, and sums of floats and sketches depend on it.
"""

from __future__ import annotations

import abc
import pickle
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, TypeVar, cast

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindows

from components.concurrency import Concurrently, threads_of

_MERGED = "merged"
FAN_IN = 64
"""Partials merged by one worker before the last one merges the rest."""

Element = TypeVar("Element")
Partial = TypeVar("Partial")
Numbered = tuple[int, dict[Any, bytes]]
"""Where a partial comes in the order, and its packed parts."""


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

    def parts(self, partial: Partial) -> Mapping[Any, Any]:
        """What is merged apart from each other, by key: in memory are those of one key at a time."""
        return {None: partial}

    def merge_part(self, key: Any, parts: Sequence[Any]) -> Any:
        """As `merge`, of the parts of one key in the partials that have it."""
        del key
        return self.merge(parts)

    def whole(self, parts: Mapping[Any, Any]) -> Partial:
        """The partial of these parts."""
        return cast("Partial", parts[None])


class Aggregate(beam.PTransform):  # type: ignore[misc]
    def __init__(self, kernel: Kernel[Any, Any], *, fan_in: int = FAN_IN) -> None:
        super().__init__()
        self._kernel, self._fan_in = kernel, fan_in

    def expand(self, row_groups: Any) -> Any:
        threads = threads_of(row_groups.pipeline)
        partials = row_groups | "Partial" >> Concurrently(_Partial(self._kernel, self._fan_in))
        met = partials | "Met" >> beam.ParDo(_MergeMet(self._kernel, self._fan_in, threads)).with_outputs(
            _MERGED, main="others"
        )
        others = (
            met.others
            | "Neighbours" >> beam.GroupByKey()
            | "MergeNeighbours" >> beam.Map(_merge_neighbours, self._kernel, threads)
        )
        return (
            (met[_MERGED], others)
            | beam.Flatten()
            | "All" >> beam.GroupByKey()
            | "MergeAll" >> beam.Map(_merge_all, self._kernel, threads)
        )


class _Partial(beam.DoFn):  # type: ignore[misc]
    def __init__(self, kernel: Kernel[Any, Any], fan_in: int) -> None:
        self._kernel, self._fan_in = kernel, fan_in

    def setup(self) -> None:
        self._kernel.setup()

    def process(self, element: tuple[int, Any]) -> Iterator[tuple[int, Numbered]]:
        index, row_group = element
        parts = self._kernel.parts(self._kernel.partial(row_group))
        yield index // self._fan_in, (index, {key: _pack(part) for key, part in parts.items()})


class _MergeMet(beam.DoFn):  # type: ignore[misc]
    """Neighbours that have all come to one worker, as on one machine: Beam never holds them, some four times over."""

    def __init__(self, kernel: Kernel[Any, Any], fan_in: int, threads: int) -> None:
        self._kernel, self._fan_in, self._threads = kernel, fan_in, threads

    def start_bundle(self) -> None:
        self._groups: defaultdict[int, list[Numbered]] = defaultdict(list)

    def process(self, element: tuple[int, Numbered]) -> Iterator[Any]:
        group, numbered = element
        self._groups[group].append(numbered)
        if len(self._groups[group]) == self._fan_in:
            whole = (group, self._groups.pop(group))
            yield beam.pvalue.TaggedOutput(_MERGED, _merge_neighbours(whole, self._kernel, self._threads))

    def finish_bundle(self) -> Iterator[Any]:
        for group, found in self._groups.items():
            for numbered in found:
                yield GlobalWindows.windowed_value((group, numbered))


def _merge_neighbours(
    element: tuple[int, Iterable[Numbered]], kernel: Kernel[Any, Any], threads: int
) -> tuple[None, Numbered]:
    group, partials = element
    return None, (group, _in_order(partials, lambda *part: _pack(_merged(kernel, *part)), threads))


def _merge_all(element: tuple[None, Iterable[Numbered]], kernel: Kernel[Any, Any], threads: int) -> Any:
    return kernel.whole(_in_order(element[1], partial(_merged, kernel), threads))


def _in_order(
    partials: Iterable[Numbered], merge: Callable[[Any, Sequence[bytes]], Any], threads: int
) -> dict[Any, Any]:
    by_key: dict[Any, list[bytes]] = {}
    for _, parts in sorted(partials, key=lambda item: item[0]):
        for key, part in parts.items():
            by_key.setdefault(key, []).append(part)
    with ThreadPoolExecutor(threads) as pool:
        return dict(zip(by_key, pool.map(merge, by_key, by_key.values()), strict=True))


def _merged(kernel: Kernel[Any, Any], key: Any, packed: Sequence[bytes]) -> Any:
    return kernel.merge_part(key, [_unpack(part) for part in packed])


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
