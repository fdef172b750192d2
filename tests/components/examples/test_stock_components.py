"""The stock components of TFX on our examples: a run under TFX's own runner, without any of our nodes in between."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tensorflow_transform as tft
from tfx import v1 as tfx
from tfx.components.example_gen.custom_executors import parquet_executor
from tfx.orchestration import metadata
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.types.standard_artifacts import Examples

from components.examples.records import serialize, to_lists
from tests.components.examples.making import COLUMNS, RUNNER, run, table

ROWS = 600
SCHEMA = """
feature { name: "user" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "price" type: FLOAT }
feature { name: "count" type: INT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "bought" type: INT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "words" type: BYTES }
feature { name: "history" type: INT }
"""


def features(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    words = inputs["words"]
    ones = tf.SparseTensor(words.indices, tf.ones_like(words.values, tf.int64), words.dense_shape)
    return {
        "count": tft.scale_to_z_score(inputs["count"]),
        "bought": inputs["bought"],
        "words": tf.reshape(tf.sparse.reduce_sum(ones, axis=1), [-1]),
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Statistics and transformed examples below `Statistics` and `Transform`."""
    root = tmp_path_factory.mktemp("stock")
    made = run(root / "made", table(ROWS))
    (root / "schema").mkdir()
    (root / "schema" / "schema.pbtxt").write_text(SCHEMA)
    examples = tfx.dsl.Importer(
        source_uri=made.uri,
        artifact_type=Examples,
        properties={"split_names": made.split_names, "span": made.span},
        custom_properties={name: made.get_string_custom_property(name) for name in ("payload_format", "file_format")},
    ).with_id("examples")
    schema = tfx.dsl.Importer(
        source_uri=str(root / "schema"), artifact_type=tfx.types.standard_artifacts.Schema
    ).with_id("schema")
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["result"])
    transform = tfx.components.Transform(
        examples=examples.outputs["result"],
        schema=schema.outputs["result"],
        preprocessing_fn=f"{__name__}.features",
        disable_statistics=True,
    )
    LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="stock",
            pipeline_root=str(root),
            metadata_connection_config=metadata.sqlite_metadata_connection_config(str(root / "metadata.db")),
            components=[examples, schema, statistics, transform],
            beam_pipeline_args=RUNNER,
        )
    )
    return root


def only(root: Path, pattern: str) -> list[Path]:
    found = sorted(root.glob(pattern))
    assert found, f"nothing at {pattern}"
    return found


@pytest.mark.slow
def test_statistics_count_every_row_and_every_missing_value(root: Path) -> None:
    counts = dict.fromkeys(COLUMNS, 0)
    missing = dict.fromkeys(COLUMNS, 0)
    rows = 0
    for path in only(root, "StatisticsGen/statistics/*/Split-*/FeatureStats.pb"):
        dataset = tfdv.load_stats_binary(str(path)).datasets[0]
        rows += dataset.num_examples
        for feature in dataset.features:
            name = feature.path.step[0]
            common = (
                feature.num_stats.common_stats if feature.HasField("num_stats") else feature.string_stats.common_stats
            )
            counts[name] += common.num_non_missing
            missing[name] += common.num_missing
    assert rows == ROWS
    expected = table(ROWS)
    for name in COLUMNS:
        assert (name, counts[name], missing[name]) == (
            name,
            ROWS - expected.column(name).null_count,
            expected.column(name).null_count,
        )


def test_the_stock_parquet_executor_loses_what_ours_keeps(tmp_path: Path) -> None:
    columns = {"f": "float", "i": "int", "s": "string"}
    day = pa.table({"f": pa.array([0.0, 2.0, None], pa.float32()), "i": [0, 2, None], "s": ["", "x", None]})
    pq.write_table(day, tmp_path / "day.parquet")
    with beam.Pipeline(argv=RUNNER) as pipeline:
        examples = pipeline | parquet_executor._ParquetToExample({"input_base": str(tmp_path)}, "*.parquet")
        examples | beam.Map(lambda example: (tmp_path / f"{uuid4()}.example").write_bytes(example.SerializeToString()))
    stock = [kinds(path.read_bytes(), columns) for path in tmp_path.glob("*.example")]
    ours = [kinds(record, columns) for record in serialize(to_lists(day.to_batches()[0], columns))]
    assert ours[0] == ours[1] == {"f": "float_list", "i": "int64_list", "s": "bytes_list"}
    assert ours[2] == {"f": None, "i": None, "s": None}
    assert sorted(map(str, stock)) == sorted(map(str, [ours[2], ours[1], ours[2]]))


def kinds(record: bytes, columns: Mapping[str, str]) -> dict[str, str | None]:
    """Which list each column has; None when the value is missing."""
    features = tf.train.Example.FromString(record).features.feature
    return {name: features[name].WhichOneof("kind") for name in columns}


@pytest.mark.slow
def test_zeros_are_seen_as_zeros(root: Path) -> None:
    zeros = sum(
        feature.num_stats.num_zeros
        for path in only(root, "StatisticsGen/statistics/*/Split-*/FeatureStats.pb")
        for feature in tfdv.load_stats_binary(str(path)).datasets[0].features
        if feature.path.step[0] == "count"
    )
    assert zeros == ROWS // 2


@pytest.mark.slow
def test_transform_reads_every_row_of_every_split(root: Path) -> None:
    values = []
    for path in only(root, "Transform/transformed_examples/*/Split-*/*.parquet"):
        rows = pq.read_table(path)
        values += [
            (bought, words)
            for [bought], [words] in zip(rows["bought"].to_pylist(), rows["words"].to_pylist(), strict=True)
        ]
    expected = table(ROWS)
    words = [len(row) for row in expected.column("words").to_pylist()]
    assert sorted(values) == sorted(zip(map(int, expected.column("bought").to_pylist()), words, strict=True))
    assert np.mean([bought for bought, _ in values]) == pytest.approx(0.2)
