"""A day's examples as any tool of TensorFlow reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from pipelines.export import RAW, TRANSFORMED, Stage, main
from pipelines.outcome import ArtifactRef, Outcome, State, write_outcome
from pipelines.settings import Settings
from tests.components.examples.making import rows_of, run, table
from tests.components.training.conftest import ROWS, Transformed, transformed  # noqa: F401  # a fixture
from tests.components.transform.running import Made

DAY = "2026-01-05"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path / "state"))
    return Settings.from_environment()


def ran(settings: Settings, run_id: str, uri: str, *, ended: float, day: str = DAY, stage: Stage = RAW) -> None:
    """A run of the day that left its examples at `uri`."""
    outputs = {stage.output: (ArtifactRef(type="Examples", uri=uri),)}
    outcome = Outcome(
        pipeline="shop",
        run_id=run_id,
        node=stage.node,
        day=day,
        state=State.COMPLETE,
        started=ended,
        ended=ended,
        outputs=outputs,
    )
    write_outcome(settings, outcome)


@pytest.fixture
def made(request: pytest.FixtureRequest) -> Made:
    source: Transformed = request.getfixturevalue("transformed")
    examples = standard_artifacts.Examples()
    examples.uri = str(source.examples)
    return Made(source.transform, examples)


def arguments(output: Path, *more: str) -> list[str]:
    return ["shop", "--day", DAY, "--output", str(output), *more]


def read(folder: Path, *, compression: str) -> list[tf.train.Example]:
    files = sorted(str(path) for path in folder.iterdir())
    return [
        tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(files, compression_type=compression)
    ]


@pytest.mark.parametrize(("more", "compression", "suffix"), [((), "", "03"), (("--gzip",), "GZIP", ".gz")])
def test_the_newest_examples_of_the_day_are_tf_examples(
    settings: Settings, tmp_path: Path, more: tuple[str, ...], compression: str, suffix: str
) -> None:
    examples = run(tmp_path / "new", table(300))
    ran(settings, f"shop-{DAY}-old", run(tmp_path / "old", table(200)).uri, ended=1)
    ran(settings, "by-hand", examples.uri, ended=2)
    ran(settings, f"shop-{DAY}-other", str(tmp_path / "old"), ended=4, day="2026-01-06")
    ran(settings, f"shop-{DAY}-gone", str(tmp_path / "gone"), ended=3)
    assert main(arguments(tmp_path / "out", "--split", "train", *more)) == 0

    expected = rows_of(examples, "train")
    found = [example.features.feature for example in read(tmp_path / "out", compression=compression)]
    assert [path.name[-len(suffix) :] for path in (tmp_path / "out").iterdir()] == [suffix] * 3
    assert [list(row["user"].bytes_list.value) for row in found] == expected["user"].to_pylist()
    prices = [list(row["price"].float_list.value) if row["price"].WhichOneof("kind") else None for row in found]
    assert prices == expected["price"].to_pylist()
    assert [0.0] in prices and None in prices


@pytest.mark.parametrize(("more", "compression"), [((), ""), (("--gzip",), "GZIP")])
def test_transformed_examples_are_parsed_by_the_spec_of_the_transform_graph(
    settings: Settings, tmp_path: Path, made: Made, more: tuple[str, ...], compression: str
) -> None:
    ran(settings, "by-hand", made.examples.uri, ended=1, stage=TRANSFORMED)
    assert main(arguments(tmp_path / "out", "--transformed", "--split", "eval", *more)) == 0
    records = tf.data.TFRecordDataset(sorted(str(path) for path in (tmp_path / "out").iterdir()), compression)
    spec = made.output.transformed_feature_spec()
    parsed = tf.io.parse_example(list(records.as_numpy_iterator()), spec)
    expected = made.rows("eval")
    assert set(spec) == set(expected) and len(expected["item_id"]) == ROWS["eval"]
    for name, values in expected.items():
        np.testing.assert_array_equal(parsed[name].numpy(), values, err_msg=name)


def test_what_cannot_be_exported_says_why(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(tmp_path / "out")) == 65
    assert f"Fix: `daybreak run shop --day {DAY}`" in capsys.readouterr().err
    ran(settings, "other", str(tmp_path), ended=1, day="2026-01-04")
    assert main(arguments(tmp_path / "out")) == 65
    assert "there are 2026-01-04\n" in capsys.readouterr().err

    ran(settings, f"shop-{DAY}-1", run(tmp_path / "made", table(200)).uri, ended=1)
    assert main(arguments(tmp_path / "out", "--split", "test")) == 78
    assert "`--split` must be one of eval, train. Received: test" in capsys.readouterr().err

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    assert main(arguments(tmp_path / "out")) == 78
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_a_day_that_is_no_date_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["shop", "--day", "2026-01-*", "--output", str(tmp_path / "out")])
    assert "must be a date such as 2026-01-05. Received: '2026-01-*'" in capsys.readouterr().err
