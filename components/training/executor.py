"""Trains, exports, cleans up. A try that was killed is continued by the next one of the same run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact
from tfx.utils import path_utils

from components.tracking import current
from components.training.checkpoint import assign_variables, model_weights
from components.training.export import export_model
from components.training.history import HISTORY_FILE, History
from components.training.input import pack
from components.training.interruption import interruptible
from components.training.job import Job
from components.training.launch import launch
from components.training.loop import read_trained, train
from components.training.rows import LAYOUT_FILE, Layout
from components.training.user_model import build_model
from pipelines.outcome import run_folder
from pipelines.settings import Settings
from pipelines.spec import StrategyName, Train

SPLITS = ("train", "eval")


class TrainExecutor(BaseExecutor):  # type: ignore[misc]
    """Work of `components.training.component.Train`."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        transform = Path(artifact_utils.get_single_uri(input_dict["transform_graph"]))
        examples = Path(artifact_utils.get_single_uri(input_dict["examples"]))
        label = str(exec_properties["label"])
        with _scratch() as folder:
            job = Job(
                model=f"pipelines.{exec_properties['pipeline']}.model",
                transform=transform,
                rows=folder / "rows",
                folder=folder,
                label=label,
                weight=exec_properties.get("weight"),
                train=Train.model_validate_json(exec_properties["train"]),
                identity=_identity(exec_properties, _pack(examples, folder / "rows")),
            )
            run_job(job)
            trained = read_trained(job)
            model = build_model(job, tf.distribute.get_strategy())
            assign_variables(model_weights(model), trained.weights, strategy=tf.distribute.get_strategy())
            served = Path(path_utils.serving_model_path(artifact_utils.get_single_uri(output_dict["model"])))
            schema = _read_schema(Path(artifact_utils.get_single_uri(input_dict["schema"])))
            export_model(model, transform=transform, schema=schema, label=label, path=served)
            trained.history.write(Path(artifact_utils.get_single_uri(output_dict["model_run"])))
            _describe(output_dict["model_run"][0], trained.history)
            _track(job, trained.history, model, examples=examples)


def run_job(job: Job) -> None:
    """Trains in this process on one device, in processes of their own otherwise.

    Several devices must be asked for before TensorFlow runs its first operation, and workers are processes anyway.
    """
    with interruptible() as request:
        match job.train.strategy:
            case StrategyName.SINGLE:
                train(job, strategy=tf.distribute.get_strategy(), request=request)
            case StrategyName.MIRRORED:
                launch(job, processes=1, request=request)
            case StrategyName.MULTI_WORKER:
                launch(job, processes=job.train.devices, request=request)


@contextmanager
def _scratch() -> Iterator[Path]:
    """The folder of this run's checkpoints: kept when training fails, removed when it succeeded."""
    pipeline, run_id = os.environ.get("DAYBREAK_PIPELINE"), os.environ.get("DAYBREAK_RUN_ID")
    if pipeline and run_id:
        node = os.environ.get("DAYBREAK_NODE", "train")
        folder = run_folder(Settings.from_environment(), pipeline, run_id) / "checkpoints" / node
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        shutil.rmtree(folder)
        with suppress(OSError):  # another node's checkpoints are there
            folder.parent.rmdir()
        return
    with tempfile.TemporaryDirectory(prefix="daybreak-train-") as temporary:
        yield Path(temporary)


def _pack(examples: Path, folder: Path) -> str:
    """Packs both splits; the fingerprint of what was packed."""
    return " ".join(pack(examples, folder, split=split).source for split in SPLITS)


def _identity(exec_properties: Mapping[str, Any], rows: str) -> str:
    # The node runner's stamps (code, data) are among the properties. The spec section is compared by itself.
    stamps = {name: str(value) for name, value in sorted(exec_properties.items()) if name.startswith("stamp_")}
    return hashlib.sha256(json.dumps([stamps, rows]).encode()).hexdigest()


def _read_schema(folder: Path) -> schema_pb2.Schema:
    text = (folder / "schema.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, schema_pb2.Schema())


def _describe(artifact: Artifact, history: History) -> None:
    artifact.set_string_custom_property("ended", history.ended)
    artifact.set_int_custom_property("steps", history.steps)
    artifact.set_float_custom_property("examples_per_sec", history.examples_per_sec)


def _track(job: Job, history: History, model: keras.Model, *, examples: Path) -> None:
    """What the loop did not tell while it ran: settings, data, the model's layers, the story."""
    tracker = current()
    settings = job.train.model_dump(mode="json")
    settings |= {f"hyperparameters.{name}": value for name, value in settings.pop("hyperparameters").items()}
    tracker.log_params(settings | {"model": job.model, "parameter_count": history.parameter_count})
    tracker.log_tags({"ended": history.ended, "reason": history.reason, "exported": history.exported})
    tracker.log_metrics(
        {
            "compile_secs": history.compile_secs,
            "train_secs": history.train_secs,
            "elapsed_secs": history.elapsed_secs,
            "examples_per_sec": history.examples_per_sec,
        },
        step=history.steps,
    )
    tracker.log_table(
        [{"epoch": each.epoch, "step": each.step, **each.metrics} for each in history.epochs], "epochs.json"
    )
    tracker.log_text(history.model_dump_json(indent=1), HISTORY_FILE)
    lines: list[str] = []
    model.summary(print_fn=lines.append, line_length=100)
    tracker.log_text("\n".join(lines) + "\n", "model_summary.txt")
    for split, rows in {"train": history.train_rows, "eval": history.eval_rows}.items():
        tracker.log_dataset(
            name=f"transformed-{split}",
            digest=Layout.model_validate_json((job.rows / split / LAYOUT_FILE).read_text(encoding="utf-8")).source,
            source=str(examples / f"Split-{split}"),
            context="training" if split == "train" else "evaluation",
            profile={"num_rows": rows},
        )
