"""Analyzes one split, applies the graph to all: every row group is read once per phase and once more at the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow_transform as tft
from apache_beam.options.pipeline_options import DirectOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.impl_helper import METADATA_DIR_NAME
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, artifact_utils

from components.aggregation import Kernel
from components.days.identity import key_of
from components.days.listing import Days
from components.days.merging import ByDay, Partials, numbered, read_pickled
from components.days.store import DayStore
from components.examples.records import RowGroup, row_groups, row_groups_by_day
from components.transform import fallback
from components.transform.analysis import Analysis
from components.transform.application import Apply
from components.transform.blocks import describe
from components.transform.measures import run_with_beam
from components.transform.tracing import Model, Trace, import_function, require_free, trace
from pipelines.errors import DataError, bounded

ANALYZED = "train"
STAGE = "transform"


class TransformExecutor(BaseBeamExecutor):  # type: ignore[misc]
    """Work of `components.transform.component.Transform`."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the transform graph and `Split-<name>/data_tfrecord-<row group>-of-<count>`.

        Raises:
            DataError: a split has no rows, or its examples are damaged or do not fit the schema.
            SpecError, UserCodeError: what `preprocessing_fn` returns.
        """
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        output = artifact_utils.get_single_instance(output_dict["transformed_examples"])
        graph = Path(artifact_utils.get_single_uri(output_dict["transform_graph"]))
        path, weight = str(exec_properties["preprocessing_fn"]), exec_properties.get("weight")
        sample = input_dict.get("sample", [])
        splits = _splits(examples) | _sampled(sample)
        with _temporary(graph) as folder:
            schema = _read_schema(Path(artifact_utils.get_single_uri(input_dict["schema"])))
            traced = trace(import_function(path), schema, folder, place=path.rpartition(".")[0])
            require_free(traced.outputs, weight, place=path.rpartition(".")[0])
            model = self._analyze(traced, _analyzed(examples, sample), splits[ANALYZED])
            published = model._replace(
                path=graph / tft.TFTransformOutput.TRANSFORM_FN_DIR, write=partial(_publish, model, traced, graph)
            )
            self._apply(traced, published, splits, Path(output.uri), weight=weight)
        describe(output, split_names=list(splits), span=examples.span)

    def _apply(
        self, traced: Trace, model: Model, splits: Mapping[str, list[RowGroup]], output: Path, *, weight: str | None
    ) -> None:
        apply = Apply(traced, model, splits, output, weight=weight)  # it holds the graph until the pipeline is done
        pipeline = self._make_beam_pipeline()
        with ThreadPoolExecutor(1) as beside:
            writing = beside.submit(model.write)
            if not (model.module and _runs_here(pipeline)):
                writing.result()
            with pipeline:
                _ = pipeline | apply
            writing.result()

    def _analyze(self, traced: Trace, examples: Artifact, groups: list[RowGroup]) -> Model:
        """The SavedModel with all constants."""
        analysis = Analysis(traced)
        if analysis.unsupported:
            print(f"analyzed by TensorFlow Transform, many times slower, because of {bounded(analysis.unsupported)}")
            return fallback.analyze(traced, groups, self._make_beam_pipeline())
        if days := Days.read(Path(examples.uri)):
            by_day = row_groups_by_day(Path(examples.uri), ANALYZED, days)
            with DayStore.opened(days.pipeline) as store:
                model = analysis.model(partial(self._measure_days, store, days, by_day, traced.folder / "merged"))
                store.prune(STAGE)
            return model
        return analysis.model(partial(self._measure, groups, traced.folder / "merged"))

    def _measure(self, groups: list[RowGroup], path: Path, kernel: Kernel[RowGroup, Any], _: Callable[[], str]) -> Any:
        run_with_beam(kernel, list(enumerate(groups)), self._make_beam_pipeline(), path)
        return read_pickled(path)

    def _measure_days(
        self,
        store: DayStore,
        days: Days,
        groups: Mapping[str, list[RowGroup]],
        path: Path,
        kernel: Kernel[RowGroup, Any],
        identity: Callable[[], str],
    ) -> Any:
        """Only days of which no partial is kept."""
        phase = identity()
        partials = Partials(store, STAGE, {day.day: key_of(phase, day.digest) for day in days.days})
        path.unlink(missing_ok=True)
        if missing := partials.missing:
            elements = numbered({day: groups[day] for day in missing})
            run_with_beam(ByDay(kernel), elements, self._make_beam_pipeline(), path)
        return partials.merged(kernel, path)


def _runs_here(pipeline: beam.Pipeline) -> bool:
    """No worker needs to load what this process has."""
    mode: str = pipeline.options.view_as(DirectOptions).direct_running_mode
    return isinstance(pipeline.runner, FnApiRunner) and mode == "in_memory"


def _splits(examples: Artifact) -> dict[str, list[RowGroup]]:
    splits = _row_groups(examples)
    if ANALYZED not in splits:
        raise DataError(
            f"the examples must have a split {ANALYZED!r}, which is analyzed. Received: {bounded(splits)}",
            fix="declare it in `data.splits` of pipeline.yaml",
            place=examples.uri,
        )
    if empty := [name for name, groups in splits.items() if not groups]:
        raise DataError(
            f"every split must have rows. Received: none in {bounded(empty)}",
            fix="check the day's rows and `data.splits`, then run the examples node again",
            place=examples.uri,
        )
    return splits


def _sampled(artifacts: list[Artifact]) -> dict[str, list[RowGroup]]:
    return {name: groups for artifact in artifacts for name, groups in _row_groups(artifact).items()}


def _analyzed(examples: Artifact, sample: list[Artifact]) -> Artifact:
    """Whichever the rows of the analyzed split are taken from."""
    for artifact in sample:
        if ANALYZED in artifact_utils.decode_split_names(artifact.split_names):
            return artifact
    return examples


def _row_groups(examples: Artifact) -> dict[str, list[RowGroup]]:
    names = artifact_utils.decode_split_names(examples.split_names)
    return {name: row_groups(Path(examples.uri), name) for name in names}


@contextmanager
def _temporary(graph: Path) -> Iterator[Path]:
    """Beside the result, so that workers elsewhere see it."""
    folder = graph / ".temporary"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _read_schema(folder: Path) -> schema_pb2.Schema:
    return text_format.Parse((folder / "schema.pbtxt").read_text(encoding="utf-8"), schema_pb2.Schema())


def _publish(model: Model, traced: Trace, graph: Path) -> None:
    """The folders of a transform graph, as TensorFlow Transform lays them out."""
    model.write()
    names = tft.TFTransformOutput
    shutil.copytree(
        model.path,
        graph / names.TRANSFORM_FN_DIR,
        ignore=shutil.ignore_patterns(METADATA_DIR_NAME),
        dirs_exist_ok=True,
    )
    transformed = graph / names.TRANSFORMED_METADATA_DIR
    shutil.copytree(model.path / METADATA_DIR_NAME, transformed, dirs_exist_ok=True)
    _write_assets(traced.assets, transformed / names.ASSET_MAP)
    metadata_io.write_metadata(dataset_metadata.DatasetMetadata(traced.schema), str(graph / names.RAW_METADATA_DIR))


def _write_assets(assets: Mapping[str, str], path: Path) -> None:
    if assets:
        path.write_text(json.dumps(assets), encoding="utf-8")
