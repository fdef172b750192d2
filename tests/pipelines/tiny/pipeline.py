"""Wires the nodes; `python -m pipelines.compile tests.pipelines.tiny.pipeline` compiles it."""

from __future__ import annotations

from pathlib import Path

from tfx import v1 as tfx
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types.channel import Channel

from tests.pipelines.tiny.nodes import Count, Gate, Twice


def create_pipeline(*, name: str = "tiny", pipeline_root: str = "") -> tfx.dsl.Pipeline:
    behave = RuntimeParameter(name="behave", ptype=str, default="well")
    schema = tfx.dsl.Importer(
        source_uri=str(Path(__file__).parent), artifact_type=tfx.types.standard_artifacts.Schema
    ).with_id("schema")
    gate = Gate(behave=behave).with_id("contract")
    count = Count(
        gate=gate.outputs["report"],
        schema=schema.outputs["result"],
        day=RuntimeParameter(name="day", ptype=str),
        rows_limit=RuntimeParameter(name="rows_limit", ptype=int, default=0),
        behave=behave,
    ).with_id("count")
    twice = Twice(rows=count.outputs["rows"]).with_id("twice")
    latest = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestArtifactStrategy,
        double=Channel(type=tfx.types.standard_artifacts.ExampleStatistics),
    ).with_id("latest")
    latest.add_upstream_node(twice)
    return tfx.dsl.Pipeline(
        pipeline_name=name,
        pipeline_root=pipeline_root,
        components=[schema, gate, count, twice, latest],
        enable_cache=True,
    )
