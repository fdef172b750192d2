from __future__ import annotations

import signal
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.training.checkpoint import Arrays
from components.training.history import Ended, History
from components.training.interruption import Request
from components.training.job import Job
from components.training.loop import read_trained, train
from pipelines.errors import TransientError, UserCodeError
from tests.components.training import tiny_model

MakeJob = Callable[..., Job]


def run(job: Job, *, request: Request | None = None) -> tuple[Arrays, History]:
    train(job, strategy=tf.distribute.get_strategy(), request=request or Request())
    trained = read_trained(job)
    return trained.weights, trained.history


def assert_same(left: Arrays, right: Arrays) -> None:
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


class StopAt(keras.callbacks.Callback):  # type: ignore[misc]
    """Asks for a stop after some steps of one try, as SIGTERM would; the step after them is the last."""

    def __init__(self, request: Request, batches: int) -> None:
        super().__init__()
        self._request, self._left = request, [batches]

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._left[0] -= 1
        if self._left[0] == 0:
            self._request.signal_name = signal.SIGTERM.name


def test_trains_and_tells_the_story(make_job: MakeJob) -> None:
    _, history = run(make_job(epochs=3))
    assert [epoch.epoch for epoch in history.epochs] == [0, 1, 2]
    assert set(history.epochs[0].metrics) == {"loss", "auc", "val_loss", "val_auc"}
    assert history.epochs[2].metrics["val_auc"] > 0.7
    assert history.epochs[2].metrics["loss"] < history.epochs[0].metrics["loss"]
    assert (history.steps, history.steps_per_epoch, history.ended) == (36, 12, Ended.COMPLETED)
    assert history.examples_per_sec > 0


def test_same_data_and_seed_give_the_same_weights(make_job: MakeJob) -> None:
    settings = {"hyperparameters": {"dropout": 0.3, "norm": True}}
    first, _ = run(make_job("first", **settings))
    again, _ = run(make_job("again", **settings))
    other, _ = run(make_job("other", seed=2, **settings))
    assert_same(first, again)
    assert any(not np.array_equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("batches", [1, 7, 11, 17])
def test_stopped_and_resumed_equals_uninterrupted(make_job: MakeJob, batches: int) -> None:
    settings = {"hyperparameters": {"dropout": 0.3, "norm": True}}
    whole, history = run(make_job("whole", **settings))
    job, request = make_job("stopped", **settings), Request()
    tiny_model.wanted[:] = [StopAt(request, batches)]
    with pytest.raises(TransientError, match=f"SIGTERM.*after step {batches + 1}"):
        run(job, request=request)
    tiny_model.wanted.clear()
    resumed, resumed_history = run(job)
    assert resumed_history.resumed_from == (batches + 1,)
    assert_same(whole, resumed)
    assert [e.metrics for e in resumed_history.epochs] == [e.metrics for e in history.epochs]


def test_damaged_newest_checkpoint_falls_back(make_job: MakeJob) -> None:
    whole, _ = run(make_job("whole", hyperparameters={"dropout": 0.3}))
    job, request = make_job("damaged", hyperparameters={"dropout": 0.3}), Request()
    tiny_model.wanted[:] = [StopAt(request, 17)]
    with pytest.raises(TransientError):
        run(job, request=request)
    tiny_model.wanted.clear()
    newest = sorted(job.checkpoints.glob("step-*.npz"))[-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    with pytest.warns(RuntimeWarning, match="damaged"):
        resumed, history = run(job)
    assert history.resumed_from == (15,)
    assert_same(whole, resumed)


def test_checkpoint_of_other_settings_is_not_resumed(make_job: MakeJob) -> None:
    request = Request()
    tiny_model.wanted[:] = [StopAt(request, 7)]
    with pytest.raises(TransientError):
        run(make_job("one"), request=request)
    tiny_model.wanted.clear()
    with pytest.warns(RuntimeWarning, match="other code, data or settings"):
        _, history = run(make_job("one", seed=5))
    assert history.resumed_from == ()


def test_budget_stops_after_the_step_and_keeps_the_model(make_job: MakeJob) -> None:
    _, history = run(make_job(budget_minutes=1e-9))
    assert (history.steps, history.ended) == (1, Ended.BUDGET)
    assert "budget_minutes" in history.reason
    assert history.epochs[0].partial
    assert history.epochs[0].metrics["val_auc"] > 0


def test_early_stopping_exports_the_best_epoch(make_job: MakeJob) -> None:
    # A learning rate that overshoots: the eval loss grows soon.
    job = make_job(epochs=40, early_stopping_epochs=2, hyperparameters={"learning_rate": 0.3})
    weights, history = run(job)
    losses = [epoch.metrics["val_loss"] for epoch in history.epochs]
    best = int(np.argmin(losses))
    assert history.ended is Ended.EARLY_STOPPING
    assert (history.best_epoch, len(losses), history.exported) == (best, best + 3, "best")
    shorter, _ = run(make_job("shorter", epochs=best + 1, hyperparameters={"learning_rate": 0.3}))
    assert_same(weights, shorter)


def test_loss_that_is_not_finite_names_step_and_learning_rate(make_job: MakeJob) -> None:
    with pytest.raises(UserCodeError, match=r"the loss is (nan|inf) in step \d+ .*learning rate 1e\+30"):
        run(make_job(epochs=9, hyperparameters={"learning_rate": 1e30}))


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.logs: list[dict[str, float]] = []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.calls.append("train begin")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.calls.append(f"epoch {epoch} end")
        self.logs.append(dict(logs or {}))

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        self.calls.append("test end")

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.calls.append("train end")


def test_callbacks_are_called_as_keras_does(make_job: MakeJob) -> None:
    recorder = Recorder()
    tiny_model.wanted[:] = [recorder]
    run(make_job())
    assert recorder.calls == ["train begin", "test end", "epoch 0 end", "test end", "epoch 1 end", "train end"]
    assert set(recorder.logs[0]) == {"loss", "auc", "val_loss", "val_auc"}
    assert recorder.params == {"epochs": 2, "steps": 12, "verbose": 0}


def test_keras_early_stopping_works_and_survives_a_stop(make_job: MakeJob) -> None:
    settings = {"epochs": 40, "hyperparameters": {"learning_rate": 0.3}}
    tiny_model.wanted[:] = [keras.callbacks.EarlyStopping("val_loss", patience=2)]
    whole, history = run(make_job("whole", **settings))
    assert history.ended is Ended.CALLBACK
    stops, request = make_job("stops", **settings), Request()
    tiny_model.wanted[:] = [
        keras.callbacks.EarlyStopping("val_loss", patience=2),
        StopAt(request, (len(history.epochs) - 1) * 12 + 3),
    ]
    with pytest.raises(TransientError):
        run(stops, request=request)
    tiny_model.wanted[:] = [keras.callbacks.EarlyStopping("val_loss", patience=2)]
    resumed, resumed_history = run(stops)
    assert len(resumed_history.epochs) == len(history.epochs)
    assert_same(whole, resumed)


def test_learning_rate_schedule_of_a_callback_applies(make_job: MakeJob) -> None:
    tiny_model.wanted[:] = [keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.0)]
    frozen, _ = run(make_job("frozen", epochs=1))
    frozen_longer, _ = run(make_job("frozen longer", epochs=2))
    assert_same(frozen, frozen_longer)


def test_mixed_precision_keeps_float32_weights(make_job: MakeJob) -> None:
    weights, history = run(make_job(precision="mixed_bfloat16"))
    assert {array.dtype for array in weights.values()} == {np.dtype("float32")}
    assert history.epochs[-1].metrics["val_auc"] > 0.6
    assert keras.config.dtype_policy().name == "float32"
