"""Run in the ML environment: twenty elements through `Aggregate` on a cluster, the merged partial into a file.

python -m tests.infra.cluster.aggregate flink OUT [--pause-secs 0.4] [--log FILE] [--fail]
"""

from __future__ import annotations

import argparse

import apache_beam as beam

from components.aggregation import Aggregate
from pipelines.cluster import beam_args
from pipelines.settings import Settings
from pipelines.spec import Cluster
from tests.infra.cluster.concatenation import Concatenation, refuse


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("out")
    parser.add_argument("--pause-secs", type=float, default=0.1)
    parser.add_argument("--log", default="")
    parser.add_argument("--fail", action="store_true")
    given = parser.parse_args()
    kernel = Concatenation(pause_secs=given.pause_secs, log=given.log)
    arguments = beam_args(Cluster.model_validate(given.kind), Settings.from_environment())
    if given.fail:
        arguments += ["--number_of_execution_retries=0"]
    with beam.Pipeline(argv=arguments) as pipeline:
        numbers = pipeline | beam.Create([(index, index) for index in reversed(range(20))])
        if given.fail:
            numbers |= beam.Map(refuse)
        merged = numbers | Aggregate(kernel, fan_in=4) | beam.Map(str)
        _ = merged | beam.io.WriteToText(given.out, shard_name_template="")


if __name__ == "__main__":
    main()
