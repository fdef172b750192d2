from __future__ import annotations

from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from components.statistics.component import Statistics


def test_statistics_are_what_anomalies_and_tfx_expect() -> None:
    node = Statistics(examples=Channel(type=standard_artifacts.Examples))
    assert list(node.outputs) == ["statistics"]
    assert node.outputs["statistics"].type is standard_artifacts.ExampleStatistics
