from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tfx.types import artifact_utils, standard_artifacts

import pipelines
from components.tracking.outbox import Outbox
from components.training.executor import TrainExecutor
from components.training.history import Ended, History
from components.training.interruption import Request
from pipelines.errors import DataError, TransientError, UserCodeError
from pipelines.settings import Settings
from pipelines.spec import Train
from tests.components.training import tiny_model
from tests.components.training.conftest import LABEL, Transformed, example
from tests.components.training.test_loop import StopAt

MODEL = "from tests.components.training.tiny_model import build_model, callbacks  # noqa: F401\n"


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A pipeline folder as a user has it."""
    folder = tmp_path / "pipelines" / "tinytest"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "model.py").write_text(MODEL)
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(folder.parent)])
    return "tinytest"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("DAYBREAK_PIPELINE", "tinytest")
    monkeypatch.setenv("DAYBREAK_RUN_ID", "tinytest-2026-01-05-00000000")
    monkeypatch.setenv("DAYBREAK_NODE", "train")
    return tmp_path / "state" / "runs" / "tinytest" / "tinytest-2026-01-05-00000000" / "checkpoints"


class Node:
    """One node with its artifacts, to run and to run again."""

    def __init__(self, folder: Path, transformed: Transformed, pipeline: str, **train: Any) -> None:
        schema = folder / "schema"
        schema.mkdir(exist_ok=True)
        (schema / "schema.pbtxt").write_text(text_format.MessageToString(transformed.schema))
        examples = _artifact(standard_artifacts.Examples, transformed.examples)
        examples.split_names = artifact_utils.encode_split_names(["train", "eval"])
        self.inputs = {
            "examples": [examples],
            "transform_graph": [_artifact(standard_artifacts.TransformGraph, transformed.transform)],
            "schema": [_artifact(standard_artifacts.Schema, schema)],
        }
        self.outputs = {
            "model": [_artifact(standard_artifacts.Model, folder / "model")],
            "model_run": [_artifact(standard_artifacts.ModelRun, folder / "model_run")],
        }
        settings = Train.model_validate({"batch_size": 128, "checkpoint_every_steps": 5, **train})
        self.properties = {"pipeline": pipeline, "train": settings.model_dump_json(), "label": LABEL}

    def run(self) -> None:
        TrainExecutor().Do(self.inputs, self.outputs, self.properties)

    @property
    def model(self) -> Path:
        return Path(self.outputs["model"][0].uri) / "Format-Serving"

    @property
    def history(self) -> History:
        return History.read(Path(self.outputs["model_run"][0].uri))


def _artifact(kind: Any, uri: Path) -> Any:
    artifact = kind()
    artifact.uri = str(uri)
    return artifact


def test_trains_and_exports(tmp_path: Path, transformed: Transformed, pipeline: str, state: Path) -> None:
    node = Node(tmp_path, transformed, pipeline)
    node.run()
    serve = tf.saved_model.load(str(node.model)).signatures["serving_default"]
    predictions = serve(examples=tf.constant([example(row) for row in transformed.raw]))["predictions"].numpy()
    auc = tf.keras.metrics.AUC()
    auc.update_state([row[LABEL] for row in transformed.raw], predictions[:, 0])
    assert float(auc.result()) == pytest.approx(node.history.epochs[-1].metrics["val_auc"], abs=2e-3)
    assert node.history.ended is Ended.COMPLETED
    assert not state.exists()


def test_tells_tracking_what_happened(tmp_path: Path, transformed: Transformed, pipeline: str) -> None:
    Node(tmp_path, transformed, pipeline, hyperparameters={"learning_rate": 0.02}).run()
    outbox = Outbox.of(
        Settings.from_environment(), pipeline="tinytest", run_id="tinytest-2026-01-05-00000000", scope="train"
    )
    events = [event for _, event in outbox.read()]
    metrics = {name for event in events if event["kind"] == "metrics" for name in event["values"]}
    params = {name for event in events if event["kind"] == "params" for name in event["values"]}
    assert {"train/loss", "train/auc", "eval/loss", "eval/auc", "examples_per_sec"} <= metrics
    assert {"epochs", "batch_size", "hyperparameters.learning_rate", "parameter_count"} <= params
    assert [event["context"] for event in events if event["kind"] == "dataset"] == ["training", "evaluation"]


def test_a_stopped_try_keeps_its_checkpoints_for_the_next(
    tmp_path: Path, transformed: Transformed, pipeline: str, state: Path
) -> None:
    node = Node(tmp_path, transformed, pipeline, epochs=3)

    class Terminate(StopAt):
        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            self._left[0] -= 1
            if self._left[0] == 0:
                os.kill(os.getpid(), signal.SIGTERM)

    tiny_model.wanted[:] = [Terminate(Request(), 14)]
    with pytest.raises(TransientError, match="asked to stop .SIGTERM.*saved after step 15"):
        node.run()
    assert not node.model.exists()
    assert list((state / "train" / "steps").glob("step-*.npz"))
    tiny_model.wanted.clear()
    node.run()
    assert node.history.resumed_from == (15,)
    assert node.history.steps == 36
    assert not state.exists()


def test_a_model_that_raises_keeps_its_words_and_names_the_line(
    tmp_path: Path, transformed: Transformed, pipeline: str
) -> None:
    node = Node(tmp_path, transformed, pipeline, hyperparameters={"raises": True})
    with pytest.raises(UserCodeError, match="build_model raised KeyError: 'no such feature'") as caught:
        node.run()
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_model_that_is_not_compiled_is_refused(tmp_path: Path, transformed: Transformed, pipeline: str) -> None:
    node = Node(tmp_path, transformed, pipeline, hyperparameters={"uncompiled": True})
    with pytest.raises(UserCodeError, match="must return a compiled model"):
        node.run()


def test_a_model_file_with_a_syntax_error_names_the_line(
    tmp_path: Path, transformed: Transformed, pipeline: str
) -> None:
    (tmp_path / "pipelines" / "broken").mkdir()
    (tmp_path / "pipelines" / "broken" / "model.py").write_text("def build_model(features)\n")
    with pytest.raises(UserCodeError, match=r"SyntaxError.*line 1"):
        Node(tmp_path, transformed, "broken").run()


def test_a_missing_split_and_a_cut_file_are_data_errors(
    tmp_path: Path, transformed: Transformed, pipeline: str
) -> None:
    shutil.copytree(transformed.examples, tmp_path / "examples")
    node = Node(tmp_path, transformed, pipeline)
    node.inputs["examples"][0].uri = str(tmp_path / "examples")
    file = next((tmp_path / "examples" / "Split-eval").glob("data_tfrecord-*"))
    whole = file.read_bytes()
    for size in (0, 500, len(whole) - 9):
        file.write_bytes(whole[:size])
        with pytest.raises(DataError, match="must be whole"):
            node.run()
    file.unlink()
    with pytest.raises(DataError, match="must be whole. Received: 1 shards of 2"):
        node.run()
    shutil.rmtree(file.parent)
    with pytest.raises(DataError, match="`split` must be one of"):
        node.run()
