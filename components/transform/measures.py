"""What one phase measures of every row group, and the pass that measures it.

kernel = PhaseKernel(graph, config, [Combined(label, keys, combiner), CountedColumn(label, source)])
run_with_beam(kernel, list(enumerate(row_groups)), pipeline, path)      # one result per measure, pickled
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import apache_beam as beam
import pyarrow as pa
from apache_beam.utils.shared import Shared
from tensorflow_transform import analyzer_nodes
from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig

from components.aggregation import Aggregate, Kernel
from components.days.merging import write_pickled
from components.examples.records import RowGroup, read
from components.transform import passthrough, vocabulary
from components.transform.graph import Frozen, Graph, Saved


class Measure(Protocol):
    """What one analyzer needs of every row group. It pickles."""

    @property
    def label(self) -> str: ...

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the tensors it measures."""

    @property
    def column(self) -> str | None:
        """The column it measures."""

    def partial(self, batch: pa.RecordBatch, tensors: Mapping[str, Any]) -> Any: ...

    def merge(self, partials: Sequence[Any]) -> Any: ...


class Combined:
    """A `Combiner` of TensorFlow Transform: numpy on whole batches."""

    column = None

    def __init__(self, label: str, keys: tuple[str, ...], combiner: analyzer_nodes.Combiner) -> None:
        self.label, self.keys, self._combiner = label, keys, combiner

    def partial(self, batch: pa.RecordBatch, tensors: Mapping[str, Any]) -> Any:
        combiner, values = self._combiner, tuple(tensors[key] for key in self.keys)
        return combiner.compact(combiner.add_input(combiner.create_accumulator(), values))

    def merge(self, partials: Sequence[Any]) -> Any:
        return self._combiner.merge_accumulators(partials)


class Counted:
    """Tokens and their counts, or sums of weights."""

    column = None

    def __init__(self, label: str, keys: tuple[str, ...]) -> None:
        self.label, self.keys = label, keys

    def partial(self, batch: pa.RecordBatch, tensors: Mapping[str, Any]) -> Any:
        return vocabulary.count(*(tensors[key] for key in self.keys))

    def merge(self, partials: Sequence[Any]) -> Any:
        return vocabulary.merge(partials)


class CountedColumn:
    """Tokens of a raw column and their counts."""

    keys = ()

    def __init__(self, label: str, source: passthrough.Source) -> None:
        self.label, self.column, self._source = label, source.column, source

    def partial(self, batch: pa.RecordBatch, tensors: Mapping[str, Any]) -> Any:
        return passthrough.count(batch, self._source)

    def merge(self, partials: Sequence[Any]) -> Any:
        return vocabulary.merge(partials)


class PhaseKernel(Kernel[RowGroup, list[Any]]):
    """Applies the graph of a phase to a row group, and feeds everything measured in it."""

    def __init__(self, model: Frozen | Saved | None, config: TensorAdapterConfig, measures: Sequence[Measure]) -> None:
        self._model, self._config, self._measures = model, config, tuple(measures)
        self._inputs = config.arrow_schema.names if model else []
        self._columns = list(dict.fromkeys([*self._inputs, *filter(None, (measure.column for measure in measures))]))
        self._shared = Shared()

    def setup(self) -> None:
        self._graph = self._shared.acquire(self._load)

    def _load(self) -> Graph | None:
        return Graph(self._model, self._config) if self._model else None

    def partial(self, element: RowGroup) -> list[Any]:
        batch = read(element, self._columns, encoded=True)
        tensors = self._graph(batch.select(self._inputs), place=element.path) if self._graph else {}
        return [measure.partial(batch, tensors) for measure in self._measures]

    def merge(self, partials: Sequence[list[Any]]) -> list[Any]:
        return [self.merge_part(number, parts) for number, parts in enumerate(zip(*partials, strict=True))]

    def parts(self, partial: list[Any]) -> dict[int, Any]:
        return dict(enumerate(partial))

    def merge_part(self, key: int, parts: Sequence[Any]) -> Any:
        return self._measures[key].merge(parts)

    def whole(self, parts: Mapping[int, Any]) -> list[Any]:
        return list(parts.values())


def run_with_beam(
    kernel: Kernel[Any, Any], row_groups: Sequence[tuple[int, Any]], pipeline: beam.Pipeline, path: Path
) -> None:
    """Pickles the merged partial of numbered row groups to `path`: workers share a file system with us."""
    with pipeline:
        _ = (
            pipeline
            | "RowGroups" >> beam.Create(list(row_groups))
            | Aggregate(kernel)
            | "Write" >> beam.Map(write_pickled, path)
        )
