"""A model that another server computes, asked in the thread of the caller over connections that are kept.

    engine = RemoteEngine(Address.parse("http://shop-7:8501/v1/models/shop"))
    engine.columns                              # asked once, when it is made
    engine.predict(rows)

Rows that the server refuses are an `InputError`; a server that fails, is late or answers nonsense is a `TransientError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from components.serving.columns import AmbiguousError, Column, to_arrays
from components.serving.engine import InputError, Predictions, Remote, serialize
from components.serving.engines.addresses import Address
from components.serving.engines.connections import Connections
from components.serving.engines.messages import V1, V2, Described

TIMEOUT_SECS = 1.0


class RemoteEngine(Remote):
    def __init__(self, address: Address, *, timeout_secs: float = TIMEOUT_SECS) -> None:
        """Raises `SpecError` for a model that has no columns of ours, `TransientError` when nobody answers."""
        self._connections = Connections(address, timeout_secs=timeout_secs)
        self._messages = V1() if address.protocol == "v1" else V2()
        described = self._describe(str(address))
        self.columns: tuple[Column, ...] = described.columns
        self.signatures: dict[str, Any] = described.signatures

    def predict(self, rows: Sequence[Struct]) -> Predictions:
        try:
            body = self._messages.write(self.columns, to_arrays(self.columns, rows))
        except AmbiguousError as error:
            if not self._messages.takes_examples:
                raise InputError(f"{error}, and this model's server takes columns only") from error
            body = None
        if body is None:
            return self.predict_examples([serialize(self.columns, row) for row in rows])
        return self._ask(body, len(rows))

    def predict_examples(self, examples: Sequence[bytes]) -> Predictions:
        if not self._messages.takes_examples:
            raise InputError("this model's server takes columns only, no tf.Examples")
        return self._ask(V1.write_examples(examples), len(examples))

    def close(self) -> None:
        self._connections.close()

    def _describe(self, place: str) -> Described:
        content = self._connections.get(self._messages.description)
        try:
            return self._messages.read_description(content, place)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise self._connections.failure(f"it does not say what the model takes: {error}") from error

    def _ask(self, body: bytes, count: int) -> Predictions:
        content = self._connections.post(self._messages.action, body)
        try:
            found = self._messages.read(content)
            if found.shape[0] != count or found.ndim != 2 or found.dtype != np.float32:
                raise ValueError(f"{count} rows were asked for. Received: {found.dtype} of shape {list(found.shape)}")
        except (ValueError, TypeError, IndexError) as error:  # a MsgspecError is a ValueError
            raise self._connections.failure(f"no predictions: {error}") from error
        return found
