"""The story of a training: what came out per epoch and in between, how fast, and why it ended.

history = History.read(folder)
history.epochs[-1].metrics["val_auc"], history.ended, history.exported
"""

from __future__ import annotations

import enum
from pathlib import Path

from pipelines.manifest import write_atomically
from pipelines.spec import Frozen

HISTORY_FILE = "history.json"
MAX_INTERVALS = 1000


class Ended(enum.StrEnum):
    COMPLETED = "completed"
    BUDGET = "budget"
    """`train.budget_minutes` was spent; the model so far was exported."""
    EARLY_STOPPING = "early_stopping"
    CALLBACK = "callback"
    """A callback set `model.stop_training`."""


class Epoch(Frozen):
    epoch: int
    """From 0, as callbacks count."""
    step: int
    """Steps taken when it ended."""
    partial: bool = False
    """The budget ended it before its last step."""
    metrics: dict[str, float]
    """`loss` and the compiled metrics on the train split, and with `val_` on the eval split."""
    seconds: float
    examples_per_sec: float


class Interval(Frozen):
    """A few seconds of training."""

    step: int
    loss: float
    """Mean over the steps of the interval."""
    examples_per_sec: float


class History(Frozen):
    strategy: str
    replicas: int
    batch_size: int
    steps_per_epoch: int
    train_rows: int
    eval_rows: int
    parameter_count: int
    epochs: tuple[Epoch, ...] = ()
    intervals: tuple[Interval, ...] = ()
    steps: int = 0
    compile_secs: float = 0.0
    """In the first step of every try, which traces the graph; the speeds leave it out."""
    train_secs: float = 0.0
    """In the other steps, over all tries."""
    examples_per_sec: float = 0.0
    """Over those steps."""
    elapsed_secs: float = 0.0
    """Counted against the budget, over all tries."""
    resumed_from: tuple[int, ...] = ()
    """Steps whose checkpoints were continued."""
    ended: Ended = Ended.COMPLETED
    reason: str = ""
    """One sentence."""
    best_epoch: int | None = None
    exported: str = "last"
    """`last` weights, or the `best` epoch's by eval loss."""

    def write(self, folder: Path) -> None:
        write_atomically(folder / HISTORY_FILE, self.model_dump_json(indent=1).encode() + b"\n")

    @classmethod
    def read(cls, folder: Path) -> History:
        return cls.model_validate_json((folder / HISTORY_FILE).read_text(encoding="utf-8"))


def thin(intervals: list[Interval]) -> list[Interval]:
    """At most `MAX_INTERVALS`: every other one is dropped when there are more."""
    return intervals[1::2] if len(intervals) > MAX_INTERVALS else intervals
