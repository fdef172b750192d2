"""The finished graph on every row group: read, transform, write one shard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import numpy.typing as npt
from apache_beam.utils.shared import Shared
from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig

from components.concurrency import Concurrently
from components.examples.records import RowGroup, read, read_weights
from components.transform.blocks import Columns, lay_out, write_shard
from components.transform.graph import Graph, Live, Saved, input_config
from components.transform.rowwise import text_outputs
from components.transform.tracing import Model, Trace, output_shapes
from pipelines.errors import UserCodeError, bounded


class _Work(NamedTuple):
    row_group: RowGroup
    split: str
    number: int
    of: int


class Apply(beam.PTransform):  # type: ignore[misc]
    """From nothing to the shards of all splits in `output`, named by the place of their row group."""

    def __init__(
        self,
        trace: Trace,
        model: Model,
        splits: Mapping[str, Sequence[RowGroup]],
        output: Path,
        *,
        weight: str | None = None,
    ) -> None:
        """`weight`: the column of weights, which the result has too."""
        super().__init__()
        self._work = [
            _Work(group, split, number, len(groups))
            for split, groups in splits.items()
            for number, group in enumerate(groups)
        ]
        shapes = output_shapes(trace.outputs, place="")
        config = input_config(trace.schema, trace.input_names(trace.outputs))
        columns = lay_out({**shapes, weight: ((), "float32")} if weight else shapes)
        column_of = text_outputs(trace.graph, trace.inputs, trace.outputs)
        saved = Saved(model.path, tuple(shapes))
        self._transform = _TransformRowGroup(saved, config, column_of, columns, output, weight)
        live = Live(model.module, tuple(shapes)) if model.module else None
        self._graph = self._transform.load(live) if live else None
        """Workers of this process find it; it is theirs as long as we hold it."""

    def expand(self, begin: Any) -> Any:
        return begin | "RowGroups" >> beam.Create(self._work) | Concurrently(self._transform)


class _TransformRowGroup(beam.DoFn):  # type: ignore[misc]
    def __init__(
        self,
        model: Saved,
        config: TensorAdapterConfig,
        column_of: Mapping[str, str],
        columns: Columns,
        output: Path,
        weight: str | None,
    ) -> None:
        self._model, self._config, self._column_of = model, config, column_of
        self._columns, self._output, self._weight = columns, output, weight
        self._shared = Shared()

    def setup(self) -> None:
        self._graph = self.load(self._model)

    def load(self, model: Saved | Live) -> Graph:
        """Once per process, from whichever is asked for first."""
        graph: Graph = self._shared.acquire(lambda: Graph(model, self._config, column_of=self._column_of))
        return graph

    def process(self, work: _Work) -> None:
        batch = read(work.row_group, self._config.arrow_schema.names, encoded=True)
        arrays = self._graph(batch, place=work.row_group.path)
        _check_rows(arrays, work.row_group)
        if self._weight:
            arrays[self._weight] = read_weights(work.row_group, self._weight)
        write_shard(arrays, self._columns, self._output / f"Split-{work.split}", index=work.number, count=work.of)


def _check_rows(arrays: Mapping[str, npt.NDArray[Any]], row_group: RowGroup) -> None:
    wrong = [f"{name} ({len(array):,})" for name, array in sorted(arrays.items()) if len(array) != row_group.row_count]
    if wrong:
        raise UserCodeError(
            f"every output must have a row per example, here {row_group.row_count:,}. Received: {bounded(wrong)}",
            fix="`preprocessing_fn` gets a batch and must keep its rows",
            place=row_group.path,
        )
