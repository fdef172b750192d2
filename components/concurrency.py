"""A `ParDo` that works on several row groups at once, in the threads of one process.

    row_groups | Concurrently(function)      # a DoFn of which `setup` and `process` are used; results in input order

Beam's own threads (`--direct_running_mode=multi_threading`) lose data: a timer sends what is in an output buffer every
second, without a lock against the code that writes into it, so half an element goes out, or one is lost without a word.
Arrow, NumPy, DuckDB and TensorFlow let go of the interpreter's lock, so threads are enough for all cores.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import GlobalWindows

WAITING_PER_THREAD = 2
"""Row groups begun or waiting: what bounds the memory."""


class RowGroupOptions(PipelineOptions):  # type: ignore[misc]
    """Threads of one worker. A cluster has a worker for every core, so one thread is the default."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--row_group_threads", type=int, default=1)


def threads_of(pipeline: beam.Pipeline) -> int:
    threads: int = pipeline.options.view_as(RowGroupOptions).row_group_threads
    return threads


class Concurrently(beam.PTransform):  # type: ignore[misc]
    """Threads share the function, whose `process` must not change it."""

    def __init__(self, function: beam.DoFn) -> None:
        super().__init__()
        self._function = function

    def expand(self, row_groups: Any) -> Any:
        found = row_groups | beam.ParDo(_Concurrently(self._function, threads_of(row_groups.pipeline)))
        found.element_type = beam.ParDo(self._function).infer_output_type(row_groups.element_type)
        return found


class _Concurrently(beam.DoFn):  # type: ignore[misc]
    def __init__(self, function: beam.DoFn, threads: int) -> None:
        self._function, self._threads = function, threads

    def setup(self) -> None:
        self._function.setup()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="row-group")
        self._waiting: deque[Future[list[Any]]] = deque()

    def process(self, element: Any) -> Iterator[Any]:
        if len(self._waiting) >= WAITING_PER_THREAD * self._threads:
            yield from self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(_results, self._function, element))

    def finish_bundle(self) -> Iterator[Any]:
        while self._waiting:
            yield from map(GlobalWindows.windowed_value, self._waiting.popleft().result())

    def teardown(self) -> None:
        """After a failure or a signal too: nothing writes any longer when the node cleans up."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _results(function: beam.DoFn, element: Any) -> list[Any]:
    return list(function.process(element) or ())
