"""The models of one split document, loaded: what a request holds on to from its start to its end.

    lineup = load_lineup(split, before)         # takes over what `before` has already; slow: in a thread
    lineup.served["7"].batcher.predict(rows)

A request keeps the lineup it began with, so that nothing is taken away from under it: a model is closed when the last
lineup and the last request that hold it are gone.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from msgspec import Struct

from components.assignment.split import Model, Split
from components.serving.batching import Batcher
from components.serving.columns import Binary, Column, row_type
from components.serving.engine import Engine
from components.serving.protocols import Protocols
from pipelines.errors import SpecError

LoadEngine = Callable[[str], Engine]


class Served:
    """One version: its engine, and how requests for it are read."""

    def __init__(self, model: Model, engine: Engine, *, name: str, unit: str) -> None:
        self.version, self.uri, self.unit, self.engine = model.version, model.uri, unit, engine
        self.columns = engine.columns
        # Whoever is asked must say for whom, also where the model does not look at it.
        if unit not in {column.name for column in self.columns}:
            self.columns = (*self.columns, Column(unit, "text", None))
        self.names = frozenset(column.name for column in self.columns)
        self._unit_field = f"c{next(index for index, column in enumerate(self.columns) if column.name == unit)}"
        self.row = row_type(self.columns)
        self.protocols = Protocols(self.columns, name=name, version=model.version)
        self.batcher = Batcher(engine)
        self.batcher.warm_up([self.protocols.example_row()])
        weakref.finalize(self, _close, engine, self.batcher)

    def unit_of(self, row: Struct) -> str:
        """Empty: nobody."""
        value = getattr(row, self._unit_field)
        return value if type(value) is str else _text(value)


@dataclass(frozen=True, eq=False)
class Lineup:
    split: Split
    served: Mapping[str, Served]
    """By version."""

    @cached_property
    def champion(self) -> Served:
        return self.served[self.split.champion]

    @cached_property
    def mirrored(self) -> Served | None:
        """The challenger in shadow."""
        experiment = self.split.experiment
        return self.served[experiment.challenger] if experiment and experiment.shadow else None

    def expired(self, now: float) -> bool:
        return now > self.split.written + self.split.ttl_secs


def load_lineup(split: Split, before: Lineup | None, load: LoadEngine) -> Lineup:
    """Raises what `load` raises; then nothing has changed."""
    known = {_key(found, found.unit): found for found in before.served.values()} if before else {}
    if before and before.split.model != split.model:
        known = {}
    served = {}
    for model in split.models:
        served[model.version] = known.get(_key(model, split.unit)) or _load(model, split, load)
    return Lineup(split, served)


def _load(model: Model, split: Split, load: LoadEngine) -> Served:
    try:
        return Served(model, load(model.uri), name=split.model, unit=split.unit)
    except SpecError:
        raise
    except Exception as error:
        raise SpecError(
            f"a version must load and answer a row of zeros. Received: version {model.version}: {type(error).__name__}: {error}",
            fix="register a version that works",
            place=model.uri,
        ) from error


def _key(model: Model | Served, unit: str) -> tuple[str, str, str]:
    return model.version, model.uri, unit


def _close(engine: Engine, batcher: Batcher) -> None:
    batcher.close()
    engine.close()


def _text(value: Any) -> str:
    if type(value) is list:
        value = value[0] if len(value) == 1 else None
    if type(value) is Binary:
        return value.b64.decode(errors="backslashreplace")
    return "" if value is None else str(value)
