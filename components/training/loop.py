"""The training loop: the same for one device, mirrored devices and several workers.

    with interruptible() as request:
        train(job, strategy=create_strategy(job.train), request=request)
    trained = read_trained(job)             # weights and history, written by the chief

Where it stands is (step, variables, history): killed anywhere and started again, it goes on from the newest whole
checkpoint and ends with the weights of a run that was never killed, bit for bit.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import tensorflow as tf

from components.training.callbacks import KerasCallbacks
from components.training.checkpoint import (
    Arrays,
    Checkpoints,
    assign_variables,
    model_weights,
    read_arrays,
    read_variables,
    select,
    training_variables,
    with_prefix,
    write_arrays,
)
from components.training.epochs import EpochPlan
from components.training.history import Ended, Epoch, History, Interval, thin
from components.training.interruption import Request
from components.training.job import Job
from components.training.progress import Progress
from components.training.rows import Rows
from components.training.steps import Steps, Weight
from components.training.user_model import blaming, build_model, import_model, user_callbacks
from pipelines.errors import ResourceError, TransientError, UserCodeError
from pipelines.spec import StrategyName

TRAINED_FILE = "trained.npz"
EVAL_BATCH_ROWS = 8192
# Batches loaded while the devices compute.
AHEAD = 2

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Standing:
    """Where the run of steps stands, beside the variables; saved in every checkpoint."""

    step: int = 0
    elapsed_secs: float = 0.0
    compile_secs: float = 0.0
    train_secs: float = 0.0
    train_rows: int = 0
    epoch_secs: float = 0.0
    """In the steps of the epoch that runs."""
    epoch_rows: int = 0
    best_loss: float = math.inf
    best_epoch: int | None = None
    ended: str = ""
    reason: str = ""
    epochs: list[Epoch] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)
    resumed_from: list[int] = field(default_factory=list)
    callbacks: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        plain = dict(self.__dict__)
        plain["epochs"] = [epoch.model_dump() for epoch in self.epochs]
        plain["intervals"] = [interval.model_dump() for interval in self.intervals]
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Standing:
        known = {name: plain[name] for name in cls.__dataclass_fields__}
        known["epochs"] = [Epoch.model_validate(epoch) for epoch in known["epochs"]]
        known["intervals"] = [Interval.model_validate(interval) for interval in known["intervals"]]
        return cls(**known)


class Trained(NamedTuple):
    weights: Arrays
    """By the names of `checkpoint.model_weights`."""
    history: History


def train(job: Job, *, strategy: tf.distribute.Strategy, request: Request, chief: bool = True) -> None:
    """Trains to the end of `job` and leaves weights and history in its folder, when this process is the chief.

    Raises:
        TransientError: asked to stop; the step was finished and saved.
        UserCodeError: the user's model raised, or the loss is not finite.
    """
    _Loop(job, strategy, request=request, chief=chief).run()


def read_trained(job: Job) -> Trained:
    """What `train` left behind."""
    found = read_arrays(job.folder / TRAINED_FILE)
    return Trained(found.arrays, History.model_validate(found.state["history"]))


class _Loop:
    def __init__(self, job: Job, strategy: tf.distribute.Strategy, *, request: Request, chief: bool) -> None:
        self._job, self._strategy, self._request, self._chief = job, strategy, request, chief
        self._module = import_model(job)
        self._rows = {split: Rows(job.rows / split) for split in ("train", "eval")}
        replicas = strategy.num_replicas_in_sync
        self._plan = EpochPlan(len(self._rows["train"]), job.train.batch_size, job.train.seed, replicas)
        self._eval_plan = EpochPlan(len(self._rows["eval"]), max(EVAL_BATCH_ROWS, replicas), 0, replicas)
        self._model = build_model(job, strategy)
        weight = (
            Weight(job.weight, *(self._rows[split].mean(job.weight) for split in ("train", "eval")))
            if job.weight
            else None
        )
        self._steps = Steps(self._model, strategy, self._rows["train"].columns, label=job.label, weight=weight)
        self._variables = training_variables(self._model)
        self._checkpoints = Checkpoints(job.checkpoints, digest=job.digest)
        self._callbacks = KerasCallbacks(
            user_callbacks(job), model=self._model, module=self._module, epochs=job.train.epochs, steps=self._plan.steps
        )
        self._progress = Progress(epochs=job.train.epochs, steps_per_epoch=self._plan.steps, chief=chief)
        self._standing = Standing()
        self._best: Arrays = {}
        self._compiled = False
        self._votes: tuple[int, ...] = (0, 0)
        self._try_started = time.monotonic()

    def run(self) -> None:
        self._callbacks.train_begin()
        self._resume()
        self._try_started = time.monotonic()
        while not self._standing.ended:
            self._run_epoch()
        self._callbacks.train_end()
        self._finish()

    # Epochs and steps

    def _run_epoch(self) -> None:
        epoch, first = divmod(self._standing.step, self._plan.steps)
        if first == 0:
            self._callbacks.epoch_begin(epoch)
        take = self._rows["train"].take
        batches = enumerate(self._plan.batches(epoch, first=first), start=first)
        for position, (row_count, parts) in _ahead(
            lambda item: (item[0], (len(item[1]), self._steps.split(take, item[1]))), batches
        ):
            self._run_step(position, parts, row_count)
            over_budget, interrupted = self._votes
            last = position + 1 == self._plan.steps
            if last or over_budget:
                self._end_epoch(epoch, partial=not last, over_budget=bool(over_budget))
            if interrupted and not self._standing.ended:
                self._save()
                raise TransientError(
                    f"asked to stop ({self._request.signal_name or 'by another worker'}); saved after step "
                    f"{self._standing.step:,}",
                    fix="run the node again with the same run id: it goes on from there",
                    place=self._job.place,
                )
            if self._standing.ended:
                return
            if self._standing.step % self._job.train.checkpoint_every_steps == 0:
                self._save()

    def _run_step(self, position: int, parts: Any, row_count: int) -> None:
        started = time.monotonic()
        self._callbacks.batch_begin(position)
        votes = (int(self._elapsed() >= self._job.train.budget_minutes * 60), int(self._request.asked))
        with self._placing_errors():
            result = self._steps.train(parts, row_count=row_count, votes=votes)
        standing, self._votes = self._standing, result.votes
        standing.step += 1
        if not math.isfinite(result.loss):
            raise UserCodeError(
                f"the loss is {result.loss} in step {standing.step:,} (epoch {standing.step // self._plan.steps + 1}) "
                f"at learning rate {self._learning_rate():g}",
                fix="lower the learning rate, clip gradients (`clipnorm`), or scale the features in features.py",
                place=self._job.place,
            )
        self._callbacks.batch_end(position, result.loss)
        self._count_time(time.monotonic() - started, row_count)
        if interval := self._progress.step(standing.step, loss=result.loss, row_count=row_count):
            standing.intervals = thin([*standing.intervals, interval])

    def _count_time(self, seconds: float, row_count: int) -> None:
        """The first step of a try traces the graph: its time would drown the speed of a short training."""
        standing = self._standing
        if not self._compiled:
            self._compiled = True
            standing.compile_secs += seconds
            return
        standing.train_secs, standing.train_rows = standing.train_secs + seconds, standing.train_rows + row_count
        standing.epoch_secs, standing.epoch_rows = standing.epoch_secs + seconds, standing.epoch_rows + row_count

    def _end_epoch(self, epoch: int, *, partial: bool, over_budget: bool) -> None:
        standing = self._standing
        metrics = self._take_metrics()
        self._agree_on_state()
        metrics |= {f"val_{name}": value for name, value in self._evaluate().items()}
        seconds = standing.epoch_secs
        entry = Epoch(
            epoch=epoch,
            step=standing.step,
            partial=partial,
            metrics=metrics,
            seconds=seconds,
            examples_per_sec=standing.epoch_rows / seconds if seconds else 0.0,
        )
        standing.epochs.append(entry)
        standing.epoch_secs, standing.epoch_rows = 0.0, 0
        self._callbacks.epoch_end(epoch, metrics)
        self._progress.epoch(entry)
        self._remember_best(epoch, metrics["val_loss"])
        self._decide_end(epoch, over_budget=over_budget)

    def _evaluate(self) -> dict[str, float]:
        self._callbacks.test_begin()
        take = self._rows["eval"].take
        for parts in _ahead(lambda rows: self._steps.split(take, rows), self._eval_plan.ordered_batches()):
            with self._placing_errors():
                self._steps.evaluate(parts)
        metrics = self._take_metrics()
        self._callbacks.test_end(metrics)
        return metrics

    def _take_metrics(self) -> dict[str, float]:
        with self._placing_errors():
            metrics = {name: float(value) for name, value in self._model.get_metrics_result().items()}
            with self._strategy.scope():
                self._model.reset_metrics()
        return metrics

    # When to end, and with which weights

    def _remember_best(self, epoch: int, loss: float) -> None:
        if loss < self._standing.best_loss:
            self._standing.best_loss, self._standing.best_epoch = loss, epoch
            if self._job.train.early_stopping_epochs:
                self._best = read_variables(model_weights(self._model))

    def _decide_end(self, epoch: int, *, over_budget: bool) -> None:
        standing, patience = self._standing, self._job.train.early_stopping_epochs
        since_best = epoch - (standing.best_epoch if standing.best_epoch is not None else -1)
        if epoch + 1 == self._job.train.epochs and standing.step == (epoch + 1) * self._plan.steps:
            standing.ended, standing.reason = Ended.COMPLETED, f"all {epoch + 1} epochs"
        elif self._model.stop_training:
            standing.ended, standing.reason = Ended.CALLBACK, "a callback set model.stop_training"
        elif patience and since_best >= patience:
            standing.ended = Ended.EARLY_STOPPING
            standing.reason = f"{since_best} epochs without a better eval loss than {standing.best_loss:.6g}"
        elif over_budget:
            standing.ended = Ended.BUDGET
            standing.reason = (
                f"`train.budget_minutes` {self._job.train.budget_minutes:g} was spent after step {standing.step:,} of "
                f"{self._job.train.epochs * self._plan.steps:,}"
            )

    def _finish(self) -> None:
        if getattr(self._model.optimizer, "use_ema", False):
            with self._strategy.scope():
                self._model.optimizer.finalize_variable_values(self._model.trainable_variables)
        weights = self._best or read_variables(model_weights(self._model))
        history = self._history(exported="best" if self._best else "last")
        self._progress.say(f"ended: {history.reason}; {history.exported} weights")
        if self._chief:
            write_arrays(self._job.folder / TRAINED_FILE, weights, {"history": history.model_dump(mode="json")})

    def _history(self, *, exported: str) -> History:
        standing = self._standing
        return History(
            strategy=self._job.train.strategy,
            replicas=self._strategy.num_replicas_in_sync,
            batch_size=self._job.train.batch_size,
            steps_per_epoch=self._plan.steps,
            train_rows=len(self._rows["train"]),
            eval_rows=len(self._rows["eval"]),
            parameter_count=self._model.count_params(),
            epochs=tuple(standing.epochs),
            intervals=tuple(standing.intervals),
            steps=standing.step,
            compile_secs=standing.compile_secs,
            train_secs=standing.train_secs,
            examples_per_sec=standing.train_rows / standing.train_secs if standing.train_secs else 0.0,
            elapsed_secs=self._elapsed(),
            resumed_from=tuple(standing.resumed_from),
            ended=Ended(standing.ended),
            reason=standing.reason,
            best_epoch=standing.best_epoch,
            exported=exported,
        )

    # Saving and going on

    def _save(self) -> None:
        self._agree_on_state()
        # All ranks read, because metrics are summed over ranks when read; one writes.
        arrays = dict(with_prefix(read_variables(self._variables), "variables/"))
        arrays |= with_prefix(self._best, "best/")
        if self._chief:
            standing = self._standing.to_json() | {
                "elapsed_secs": self._elapsed(),
                "callbacks": self._callbacks.state(),
            }
            self._checkpoints.save(self._standing.step, arrays, standing)

    def _resume(self) -> None:
        found = self._checkpoints.newest()
        if found is None:
            return
        assign_variables(self._variables, select(found.arrays, "variables/"), strategy=self._strategy)
        self._best = select(found.arrays, "best/")
        self._standing = Standing.from_json(found.state)
        self._standing.resumed_from.append(self._standing.step)
        self._callbacks.restore(self._standing.callbacks)
        self._progress.say(f"resumed after step {self._standing.step:,} from {found.path.name}")

    def _agree_on_state(self) -> None:
        """Averages what replicas track apart (BatchNormalization's moments), so that all evaluate and save the same."""
        if self._strategy.num_replicas_in_sync == 1:
            return
        apart = [v for v in self._model.non_trainable_variables if tf.as_dtype(v.dtype).is_floating]
        if not apart:
            return

        @tf.function(autograph=False)  # type: ignore[untyped-decorator]
        def means() -> list[Any]:
            values = self._strategy.run(lambda: [tf.identity(variable.value) for variable in apart])
            return [self._strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None) for value in values]

        with self._strategy.scope():
            for variable, value in zip(apart, means(), strict=True):
                variable.assign(value)

    # Small questions

    def _elapsed(self) -> float:
        return self._standing.elapsed_secs + time.monotonic() - self._try_started

    def _learning_rate(self) -> float:
        return float(tf.convert_to_tensor(self._model.optimizer.learning_rate))

    @contextmanager
    def _placing_errors(self) -> Iterator[None]:
        """Says in which step it happened and whether a retry can help: memory, a lost worker, or the user's model."""
        place = self._job.place
        with blaming(self._module, f"the model, after step {self._standing.step:,},"):
            try:
                yield
            except (tf.errors.ResourceExhaustedError, MemoryError) as error:
                raise ResourceError(
                    f"out of memory: {error}", fix="lower `train.batch_size`, or use a larger machine", place=place
                ) from error
            except tf.errors.OpError as error:
                if not self._means_lost_worker(error):
                    raise
                raise TransientError(
                    f"a worker was lost: {str(error.message).splitlines()[0]}",
                    fix="all restart from the checkpoint",
                    place=place,
                ) from error

    def _means_lost_worker(self, error: tf.errors.OpError) -> bool:
        lost = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
        vague = (tf.errors.InternalError, tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError)
        many = self._job.train.strategy is StrategyName.MULTI_WORKER
        return many and isinstance(error, (*lost, *vague))


def _ahead(load: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`map` that loads a few items ahead in a thread, in order."""
    with ThreadPoolExecutor(1) as pool:
        pending: deque[Future[R]] = deque()
        for item in items:
            pending.append(pool.submit(load, item))
            if len(pending) > AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
