"""SIGTERM as a request: the step that runs is finished and saved, then the node ends with "try again".

with interruptible() as request:
    while not request.asked: ...
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass
class Request:
    """Whether the process was asked to stop, and by which signal."""

    signal_name: str = ""

    @property
    def asked(self) -> bool:
        return bool(self.signal_name)


@contextmanager
def interruptible() -> Iterator[Request]:
    """Turns SIGTERM and SIGINT into a request for the duration; outside the main thread signals are left alone."""
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number: int, frame: FrameType | None) -> None:
        del frame
        request.signal_name = signal.Signals(number).name

    before: dict[signal.Signals, Any] = {
        number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
