"""Keras callbacks in our loop: called when `fit` would call them, and resumed where they stood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import keras
import numpy as np

from components.training.user_model import blaming

_PER_BATCH = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


class KerasCallbacks:
    """The user's callbacks, with `model`, `params` and a `History` set as Keras does.

    `logs` of a batch hold its loss; those of an epoch the loss and the metrics of both splits. What a callback keeps
    in plain attributes (numbers, text, lists of them: `wait`, `best`) is saved and given back when training resumes.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        *,
        model: keras.Model,
        module: ModuleType,
        epochs: int,
        steps: int,
    ) -> None:
        self._own, self._model, self._module = list(callbacks), model, module
        self._per_batch = any(_overrides(callback, name) for callback in callbacks for name in _PER_BATCH)
        model.stop_training = False
        with blaming(module, "a callback"):
            self._list = keras.callbacks.CallbackList(
                list(callbacks), add_history=True, model=model, epochs=epochs, steps=steps, verbose=0
            )

    def train_begin(self) -> None:
        self._call("on_train_begin")

    def train_end(self) -> None:
        self._call("on_train_end")

    def epoch_begin(self, epoch: int) -> None:
        self._call("on_epoch_begin", epoch)

    def epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        self._call("on_epoch_end", epoch, dict(logs))

    def batch_begin(self, batch: int) -> None:
        if self._per_batch:
            self._call("on_train_batch_begin", batch)

    def batch_end(self, batch: int, loss: float) -> None:
        if self._per_batch:
            self._call("on_train_batch_end", batch, {"loss": loss})

    def test_begin(self) -> None:
        self._call("on_test_begin")

    def test_end(self, logs: Mapping[str, float]) -> None:
        self._call("on_test_end", dict(logs))

    def state(self) -> list[dict[str, Any]]:
        """The plain attributes of every callback, as JSON can hold them."""
        return [
            {name: _plain(value) for name, value in vars(callback).items() if name != "params" and _is_plain(value)}
            for callback in self._own
        ]

    def restore(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Gives the attributes back; after `train_begin`, where callbacks start afresh."""
        for callback, state in zip(self._own, states, strict=False):
            for name, value in state.items():
                setattr(callback, name, value)

    def _call(self, name: str, *arguments: Any) -> None:
        with blaming(self._module, f"callback {name}"):
            getattr(self._list, name)(*arguments)


def _overrides(callback: keras.callbacks.Callback, name: str) -> bool:
    return getattr(type(callback), name) is not getattr(keras.callbacks.Callback, name)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str | np.number)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.number) else value
