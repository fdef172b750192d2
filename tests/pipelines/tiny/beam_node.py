"""A pipeline of one node that runs on Beam. Without `from __future__ import annotations`: TFX reads them itself."""

import tempfile
from pathlib import Path

import apache_beam as beam
from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import BeamComponentParameter, OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import ExampleStatistics

from pipelines.cluster import BEAM_ARGS


@component(use_beam=True)
def Sum(
    total: OutputArtifact[ExampleStatistics],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    tempfile.mkdtemp()  # and leaves it, as AutoGraph does in a process that ends without exit handlers
    with beam_pipeline as pipeline:
        summed = pipeline | beam.Create([1, 2, 3]) | beam.CombineGlobally(sum) | beam.Map(str)
        _ = summed | beam.io.WriteToText(str(Path(total.uri) / "sum.txt"), shard_name_template="")


def create_pipeline(*, name: str) -> tfx.dsl.Pipeline:
    return tfx.dsl.Pipeline(
        pipeline_name=name,
        pipeline_root="",
        components=[Sum().with_id("sum")],
        enable_cache=True,
        beam_pipeline_args=BEAM_ARGS,
    )
