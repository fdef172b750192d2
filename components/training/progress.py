"""Progress of a training: a line every few seconds for people, points for tracking; never one per step."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from components.tracking import current
from components.training.history import Epoch, Interval

LINE_SECS = 5.0
LINE_SECS_ON_TERMINAL = 1.0


class Progress:
    """Collects steps into intervals; the chief also prints and tracks them."""

    def __init__(self, *, epochs: int, steps_per_epoch: int, chief: bool) -> None:
        self._epochs, self._steps_per_epoch, self._chief = epochs, steps_per_epoch, chief
        self._every = LINE_SECS_ON_TERMINAL if sys.stdout.isatty() else LINE_SECS
        self._begin()

    def _begin(self) -> None:
        self._started, self._losses, self._rows = time.monotonic(), 0.0, 0
        self._steps = 0

    def step(self, step: int, *, loss: float, row_count: int) -> Interval | None:
        """Counts a finished step; an interval when one is over."""
        self._losses, self._rows, self._steps = self._losses + loss, self._rows + row_count, self._steps + 1
        seconds = time.monotonic() - self._started
        if seconds < self._every:
            return None
        interval = Interval(step=step, loss=self._losses / self._steps, examples_per_sec=self._rows / seconds)
        self._begin()
        self._show(interval)
        return interval

    def _show(self, interval: Interval) -> None:
        epoch, position = divmod(interval.step - 1, self._steps_per_epoch)
        self._say(
            f"epoch {epoch + 1}/{self._epochs}  step {position + 1:,}/{self._steps_per_epoch:,}  "
            f"loss {interval.loss:.4f}  {interval.examples_per_sec:,.0f} examples/s"
        )
        self._track(
            {"train/interval_loss": interval.loss, "train/examples_per_sec": interval.examples_per_sec}, interval.step
        )

    def epoch(self, epoch: Epoch) -> None:
        """The end of an epoch, with the metrics of both splits."""
        metrics = "  ".join(f"{name} {value:.4f}" for name, value in epoch.metrics.items())
        self._say(
            f"epoch {epoch.epoch + 1}/{self._epochs}{' (cut by the budget)' if epoch.partial else ''}  {metrics}  "
            f"{epoch.seconds:.1f} s  {epoch.examples_per_sec:,.0f} examples/s"
        )
        tracked = {
            f"eval/{name.removeprefix('val_')}" if name.startswith("val_") else f"train/{name}": value
            for name, value in epoch.metrics.items()
        }
        self._track(tracked, epoch.step)
        self._begin()

    def say(self, text: str) -> None:
        self._say(text)

    def _say(self, text: str) -> None:
        if self._chief:
            print(f"train: {text}", flush=True)

    def _track(self, metrics: Mapping[str, float], step: int) -> None:
        if not self._chief:
            return
        current().log_metrics(dict(metrics), step=step)
