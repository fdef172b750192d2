"""A model whose weights are stored in another form: called as the model is, exported as the model is.

small = StoredModel(model, Int8)
export_model(small, transform=folder, schema=schema, label="clicked", path=path)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from components.compression.storage import Stored, Weight, is_compressible
from components.training.layers import Embedding


class StoredModel:
    """The weights of `model` as they are now; those that are not stored otherwise are the model's own."""

    def __init__(self, model: keras.Model, store: Callable[[Weight], Stored]) -> None:
        self._model = model
        self.stored: Mapping[str, Stored] = {
            variable.path: store(np.asarray(keras.ops.convert_to_numpy(variable), np.float32))
            for variable in compressible(model)
        }

    def __call__(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        del training
        tables = {layer: self.stored[layer.table.path] for layer in _tables(self._model, self.stored)}
        in_tables = {layer.table.path for layer in tables}
        expanded = [
            (variable, self.stored[variable.path].expand())
            for variable in self._model.weights
            if variable.path in self.stored.keys() - in_tables
        ]
        with keras.StatelessScope(state_mapping=expanded), _looked_up_in(tables):
            return self._model(inputs, training=False)


def compressible(model: keras.Model) -> list[keras.Variable]:
    """The weights that are worth it."""
    return [
        variable
        for variable in model.weights
        if is_compressible(tuple(variable.shape)) and keras.backend.is_float_dtype(variable.dtype)
    ]


def _tables(model: keras.Model, stored: Mapping[str, Stored]) -> list[Embedding]:
    layers = model._flatten_layers(include_self=False)
    return [layer for layer in layers if isinstance(layer, Embedding) and layer.table.path in stored]


@contextmanager
def _looked_up_in(tables: Mapping[Embedding, Stored]) -> Iterator[None]:
    """Expanding a table of 100,000 rows for the one that a request needs would cost more than the rest of the model."""
    for layer, stored in tables.items():
        layer.lookup = stored.lookup  # type: ignore[method-assign]  # for this call only
    try:
        yield
    finally:
        for layer in tables:
            del layer.lookup
