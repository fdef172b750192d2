from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow_transform as tft
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.transform import executor, graph
from components.transform.blocks import FILE_FORMAT
from components.transform.graph import input_config
from pipelines.errors import DataError, DaybreakError, SpecError, UserCodeError
from pipelines.node.failures import explain
from tests.components.transform import features
from tests.components.transform.features import SCHEMA
from tests.components.transform.rows import batch
from tests.components.transform.running import (
    FOUR_THREADS,
    ONE_WORKER,
    RUNNER,
    Made,
    run,
    transform,
    write_examples,
    write_schema,
)

SPLITS = {"train": [batch(300, seed=1), batch(200, seed=2)], "eval": [batch(100, seed=3)]}


def path_of(function: Callable[..., Any]) -> str:
    return f"{features.__name__}.{function.__name__}"


def made_in(folder: Path, function: Callable[..., Any], splits: Any = SPLITS) -> Made:
    return run(folder, splits, SCHEMA, path_of(function))


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (features.returning_nothing, UserCodeError, "must return a dict of tensors. Received: None"),
        (features.text, SpecError, r"must return float32 or int64. Received: city \(string\)"),
        (features.ragged, SpecError, "not dense: words"),
        (features.small, SpecError, r"double \(float64\)"),
    ],
)
def test_what_it_returns_is_refused_with_its_name(
    tmp_path: Path, function: Callable[..., Any], error: type[DaybreakError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        made_in(tmp_path, function)
    assert caught.value.fix
    assert not (tmp_path / "transformed" / "graph" / ".temporary").exists()


def test_the_users_own_error_is_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="prize") as caught:
        made_in(tmp_path, features.raising)
    assert any(entry.path == Path(features.__file__) for entry in caught.traceback)


def test_a_function_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no function `absent`"):
        run(tmp_path, SPLITS, SCHEMA, f"{features.__name__}.absent")


@pytest.mark.parametrize("arguments", [ONE_WORKER, FOUR_THREADS], ids=["one worker", "four threads"])
def test_what_a_worker_raises_keeps_its_kind_place_and_fix(tmp_path: Path, arguments: list[str]) -> None:
    write_examples(tmp_path / "examples", SPLITS)
    write_schema(tmp_path, SCHEMA)

    def fails(function: Callable[..., Any]) -> DaybreakError:
        with pytest.raises(RuntimeError) as caught:
            transform(tmp_path, list(SPLITS), path_of(function), tmp_path / "transformed", arguments=arguments)
        found = explain(caught.value, user_code=[], place="shop/transform")
        assert found.fix
        return found

    rows = fails(features.losing_rows)
    assert isinstance(rows, UserCodeError)
    assert re.search(r"data-0000.-of-0000.\.parquet: every output must have a row per example.* price \(", str(rows))
    assertion = fails(features.failing_on_data)
    assert isinstance(assertion, UserCodeError)
    assert "the graph of `preprocessing_fn` failed" in str(assertion) and "Condition x > y" in str(assertion)

    write_schema(tmp_path, SCHEMA.replace("size: 2", "size: 3"))
    shape = fails(features.moments)
    assert isinstance(shape, DataError)
    assert re.search(r"must fit the schema.*'pair'.*Expected \d+ elements", str(shape))

    shard = sorted((tmp_path / "examples" / "Split-train").iterdir())[1]
    content = shard.read_bytes()
    shard.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    corrupt = fails(features.vocabularies)
    assert isinstance(corrupt, DataError)
    assert f"{shard}: a shard of the examples cannot be read" in str(corrupt)


def test_a_split_without_rows_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none in eval"):
        made_in(tmp_path, features.moments, {"train": SPLITS["train"], "eval": [batch(0, seed=1)]})
    with pytest.raises(DataError, match="must have a split 'train'"):
        made_in(tmp_path / "other", features.moments, {"eval": SPLITS["eval"]})


def test_an_analyzer_without_a_kernel_is_left_to_stock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = made_in(tmp_path, features.keyed)
    assert "CacheableCombinePerKeyAccumulate" in capsys.readouterr().out
    scaled = made.rows("train")["scaled"]
    assert abs(scaled.mean()) < 1e-5
    assert len(scaled) == 500
    assert made.output.vocabulary_size_by_name("city") == 36


def test_describes_its_examples(tmp_path: Path) -> None:
    made = made_in(tmp_path, features.nothing_analyzed)
    assert made.examples.span == 20458
    assert made.examples.get_string_custom_property("file_format") == FILE_FORMAT
    assert [len(made.rows(split)["number"]) for split in SPLITS] == [500, 100]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("function", [features.vocabularies, features.phases], ids=["vocabularies", "phases"])
def test_equal_bytes_twice_and_with_four_threads(tmp_path: Path, function: Callable[..., Any]) -> None:
    splits = {
        "train": [batch(400, seed=seed) for seed in range(9)],
        "eval": [batch(90, seed=seed) for seed in range(3)],
    }
    write_examples(tmp_path / "examples", splits)
    write_schema(tmp_path, SCHEMA)
    made = [
        transform(tmp_path, list(splits), path_of(function), tmp_path / str(number), arguments=arguments)
        for number, arguments in enumerate((ONE_WORKER, ONE_WORKER, FOUR_THREADS))
    ]
    first, *others = [contents(Path(one.examples.uri)) for one in made]
    assert others == [first, first]
    assert len(first) == 12
    names = tft.TFTransformOutput
    # Not saved_model.pb: TensorFlow numbers the functions of a SavedModel as it meets them in the process.
    for part in (names.TRANSFORM_FN_DIR + "/assets", names.TRANSFORMED_METADATA_DIR, names.RAW_METADATA_DIR):
        assert contents(made[0].graph / part) == contents(made[1].graph / part) == contents(made[2].graph / part)


def test_a_process_applies_the_graph_that_it_wrote_and_what_others_load_does_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise AssertionError(f"loaded {path}")

    with monkeypatch.context() as patched:
        patched.setattr(graph, "SavedModelLoader", refuse)
        made = made_in(tmp_path, features.vocabularies)
    rows = made.rows("eval")
    config = input_config(text_format.Parse(SCHEMA, schema_pb2.Schema()))
    loaded = graph.Graph(graph.Saved(made.graph / tft.TFTransformOutput.TRANSFORM_FN_DIR, tuple(rows)), config)
    [examples] = SPLITS["eval"]
    found = loaded(examples.select(config.arrow_schema.names), place="")
    for name, values in rows.items():
        np.testing.assert_array_equal(values, found[name])


def test_what_cannot_be_written_beside_the_application_fails_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(executor, "_publish", refuse)
    with pytest.raises(OSError, match="no space left"):
        made_in(tmp_path, features.nothing_analyzed)
    assert not (tmp_path / "transformed" / "graph" / ".temporary").exists()


@pytest.mark.parametrize(
    ("arguments", "here"),
    [
        (FOUR_THREADS, True),
        ([*RUNNER, "--direct_running_mode=multi_processing", "--direct_num_workers=2"], False),
        (["--runner=PortableRunner", "--job_endpoint=localhost:1"], False),
    ],
    ids=["threads", "processes", "a cluster"],
)
def test_only_a_process_that_works_alone_need_not_wait_for_the_saved_model(arguments: list[str], here: bool) -> None:
    assert executor._runs_here(beam.Pipeline(argv=arguments)) is here
