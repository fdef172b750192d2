"""Row groups are worked on at once, few of them, and nothing goes on when the node is over."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.worker.data_plane import ClosableOutputStream

from components.concurrency import Concurrently, _Concurrently
from pipelines.errors import DataError
from pipelines.node.failures import explain

ARGUMENTS = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", "--direct_running_mode=in_memory"]
BARRIER = threading.Barrier(2)


class _Call(beam.DoFn):  # type: ignore[misc]
    def __init__(self, call: Callable[[Any], Any]) -> None:
        self._call = call

    def process(self, element: Any) -> Iterator[Any]:
        yield self._call(element)


class _Meet(beam.DoFn):  # type: ignore[misc]
    def setup(self) -> None:
        self.base = 100

    def process(self, number: int) -> Iterator[int]:
        BARRIER.wait(timeout=60)
        time.sleep(0.02 * (number % 2 == 0))
        yield self.base + number


class _Remember(beam.DoFn):  # type: ignore[misc]
    def process(self, number: int, path: Path) -> None:
        with path.open("a") as file:
            file.write(f"{number} ")


def _run(function: beam.DoFn, numbers: int, *, threads: int, path: Path) -> None:
    with beam.Pipeline(argv=[*ARGUMENTS, f"--row_group_threads={threads}"]) as pipeline:
        _ = (
            pipeline
            | beam.Create(list(range(numbers)), reshuffle=False)
            | Concurrently(function)
            | beam.ParDo(_Remember(), path)
        )


def test_threads_work_at_once_and_results_come_in_input_order(tmp_path: Path) -> None:
    _run(_Meet(), 8, threads=2, path=tmp_path / "found")
    assert (tmp_path / "found").read_text().split() == [str(number) for number in range(100, 108)]


def test_one_thread_is_the_default_of_a_worker(tmp_path: Path) -> None:
    with beam.Pipeline(argv=ARGUMENTS) as pipeline:
        names = pipeline | beam.Create([1, 2]) | Concurrently(_Call(lambda _: threading.current_thread().name))
        _ = names | beam.ParDo(_Remember(), tmp_path / "found")
    assert (tmp_path / "found").read_text() == "row-group_0 row-group_0 "


def test_few_row_groups_are_in_memory() -> None:
    begun: list[int] = []
    function = _Concurrently(_Call(lambda number: begun.append(number) or number), 2)
    function.setup()
    found, most = [], 0
    for number in range(20):
        found += list(function.process(number))
        most = max(most, number + 1 - len(found))
    found += [windowed.value for windowed in function.finish_bundle()]
    function.teardown()
    assert found == sorted(begun) == list(range(20))
    assert most == 4


def _refuse_first(number: int) -> int:
    if number == 0:
        raise DataError("shard 0 is cut", fix="write it again")
    time.sleep(0.3)
    return number


def _at_work() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("row-group")]


def test_a_failure_arrives_in_its_own_words_when_no_thread_works_any_longer(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:  # Beam's wrapper
        _run(_Call(_refuse_first), 100, threads=3, path=tmp_path / "found")
    assert _at_work() == []
    assert type(explain(caught.value, user_code=(), place="")) is DataError


class _Ended(BaseException):
    pass


def _be_ended(number: int) -> None:
    if number == 3:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)


def test_a_signal_ends_all_threads(tmp_path: Path) -> None:
    def end(number: int, frame: FrameType | None) -> None:
        raise _Ended

    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(RuntimeError, match="_Ended"):
            _run(_Call(_be_ended), 1000, threads=2, path=tmp_path / "found")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert _at_work() == []


def test_beams_own_threads_still_lose_data() -> None:
    """Why they are not used. Its timer, here a call, sends a buffer and then empties it, without a lock against writers."""
    sent: list[bytes] = []

    def send(data: bytes) -> None:
        sent.append(data)
        stream.write(b"written by the worker meanwhile")

    stream = ClosableOutputStream.create(sent.append, send, data_buffer_time_limit_ms=3_600_000)
    stream.write(b"first")
    stream.flush()
    stream.close()
    assert sent == [b"first", b""]
