"""SIGTERM and SIGINT as an exception, held back while metadata or artifacts are being written.

with catch_signals() as signals:
    ...                         # Interrupted may be raised here
    with signals.held_back():
        ...                     # not here, but at the end of the block
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """A signal asked the node to end. Not an `Exception`, so that user code does not swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number
        self.exit_code = 128 + number


class Signals:
    def __init__(self) -> None:
        self._depth = 0
        self._pending: int | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._depth:
            self._pending = number
        else:
            # Once is enough: cleaning up must not be interrupted by the next, impatient signal.
            self._depth += 1
            raise Interrupted(number)

    def mute(self) -> None:
        """From now on signals change nothing: the node is ending already."""
        self._depth += 1

    @contextmanager
    def held_back(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if self._depth == 0 and self._pending is not None:
            number, self._pending = self._pending, None
            self.handle(number, None)


@contextmanager
def catch_signals() -> Iterator[Signals]:
    """For the main thread; the handlers before it come back at the end."""
    signals = Signals()
    previous = {number: signal.signal(number, signals.handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield signals
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
