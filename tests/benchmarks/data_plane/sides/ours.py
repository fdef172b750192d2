"""Our nodes, as the retrain assembles them, through their own executors."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base.base_node import BaseNode
from tfx.types import standard_artifacts

import pipelines
from pipelines.assemble import BEAM_ARGS, assemble
from pipelines.settings import Settings
from pipelines.spec import Spec, load_spec
from tests.benchmarks.data_plane.columns import LABEL, TIME, USER
from tests.benchmarks.data_plane.log import DAY
from tests.benchmarks.data_plane.nodes import prepare_node, write_artifacts
from tests.benchmarks.data_plane.sides import Work

NAME = "ads"
_TYPES = {"int": schema_pb2.INT, "float": schema_pb2.FLOAT, "string": schema_pb2.BYTES}

pipelines.__path__ = [*pipelines.__path__, str(Path(__file__).parent.parent / "pipelines")]


def beam_args(cores: int) -> list[str]:
    """Those of a retrain on as many cores."""
    return [*BEAM_ARGS, f"--row_group_threads={cores}"]


def prepare(stage: str, work: Work) -> Callable[[], None]:
    if stage == "model":
        return partial(_make_model, work)
    write_given(work.folder)
    if stage == "evaluate":
        # Training is no stage of this benchmark: the model is that of a small day.
        for node in ("train", "transform"):
            borrow(node, work)
    return _node(stage, work)


def _node(stage: str, work: Work) -> Callable[[], None]:
    return prepare_node(assembled(work.data)[stage], work.folder, beam_args(work.cores), parameters={"day": DAY})


def _make_model(work: Work) -> None:
    write_given(work.folder)
    for stage in ("contract", "examples", "transform", "train"):
        _node(stage, work)()


def assembled(data: Path, spec: Spec | None = None) -> dict[str, BaseNode]:
    """The nodes of the retrain of the generated log, by id."""
    os.environ["DAYBREAK_BENCHMARK_DATA"] = str(data)
    pipeline, _ = assemble(spec or load_spec(NAME), Settings.from_environment())
    return {node.id: node for node in pipeline.components}


def write_given(folder: Path) -> None:
    """What other nodes of a retrain would have made: the curated schema, and that there is no champion."""
    schema, champion, statistics = (
        standard_artifacts.Schema(),
        standard_artifacts.Model(),
        standard_artifacts.ExampleStatistics(),
    )
    schema.uri = str(folder / "schema" / "schema")
    Path(schema.uri).mkdir(parents=True, exist_ok=True)
    (Path(schema.uri) / "schema.pbtxt").write_text(text_format.MessageToString(schema_of(load_spec(NAME))))
    champion.set_string_custom_property("absent", "yes")
    write_artifacts(folder, "schema", {"schema": [schema]})
    write_artifacts(folder, "champion", {"model": [champion], "statistics": [statistics]})


def schema_of(spec: Spec) -> schema_pb2.Schema:
    """One value or none per row, and always one where the row is told apart by it."""
    schema = schema_pb2.Schema()
    for name, kind in spec.data.columns.items():
        feature = schema.feature.add(name=name, type=_TYPES[str(kind)])
        if name in (LABEL, USER, TIME):
            feature.presence.min_fraction = 1
            feature.shape.dim.add(size=1)
        else:
            feature.value_count.max = 1
    return schema


def borrow(node: str, work: Work) -> None:
    """The artifacts of a node of the small day, instead of this day's."""
    source, target = work.model / node / "artifacts.json", work.folder / node / "artifacts.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(source.read_text())
