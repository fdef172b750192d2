"""Learns each baseline and exports it as the trained model is."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact

from components.baselines.constant import learn_constant
from components.baselines.learned import Attempt, Learned, saved_model
from components.baselines.lesson import Lesson, read_lesson
from components.baselines.linear import learn_linear
from components.baselines.trees import learn_trees
from components.tracking import current
from components.training.export import export_model
from components.training.input import pack
from components.training.rows import Rows
from pipelines.spec import BaselineModel

Learn = Callable[[], tf.Module]


class BaselinesExecutor(BaseExecutor):  # type: ignore[misc]
    """Work of `components.baselines.component.LearnBaselines`."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        folders = {name: Path(artifact_utils.get_single_uri(found)) for name, found in input_dict.items()}
        target = Path(artifact_utils.get_single_uri(output_dict["baselines"]))
        schema = text_format.Parse((folders["schema"] / "schema.pbtxt").read_text(), schema_pb2.Schema())
        label = str(exec_properties["label"])
        lesson = _read(folders["examples"], exec_properties)
        attempts: dict[BaselineModel, Attempt] = {}
        for name, learn in _learners(lesson, exec_properties).items():
            reason = _why_not(name, lesson)
            started = time.perf_counter()
            if not reason:
                model = learn()
            attempts[name] = Attempt(
                rows=len(lesson.labels), seconds=round(time.perf_counter() - started, 3), reason=reason
            )
            if not reason:
                path = saved_model(target, name)
                export_model(model, transform=folders["transform_graph"], schema=schema, label=label, path=path)
        Learned(models=attempts).write(target)
        _track(attempts)


def _read(examples: Path, exec_properties: Mapping[str, Any]) -> Lesson:
    with tempfile.TemporaryDirectory(prefix="daybreak-baselines-") as folder:
        pack(examples, Path(folder), split="train")
        return read_lesson(
            Rows(Path(folder) / "train"),
            label=str(exec_properties["label"]),
            weight=exec_properties.get("weight"),
            max_rows=int(exec_properties["max_rows"]),
            seed=int(exec_properties["seed"]),
        )


def _learners(lesson: Lesson, exec_properties: Mapping[str, Any]) -> dict[BaselineModel, Learn]:
    seed, budget = int(exec_properties["seed"]), float(exec_properties["budget_secs"])
    return {
        "constant": lambda: learn_constant(lesson),
        "linear": lambda: learn_linear(lesson, seed=seed, budget_secs=budget / 2),
        "trees": lambda: learn_trees(lesson, seed=seed, budget_secs=budget / 2),
    }


def _why_not(name: BaselineModel, lesson: Lesson) -> str:
    if name != "constant" and lesson.has_one_label:
        return f"all labels of the train split are {lesson.labels[0]:g}"
    if name != "constant" and not lesson.arrays:
        return "there are no features"
    return ""


def _track(attempts: Mapping[BaselineModel, Attempt]) -> None:
    tracker = current()
    tracker.log_metrics({f"{name}/train_secs": attempt.seconds for name, attempt in attempts.items()})
    for name, attempt in attempts.items():
        print(f"{name}: {attempt.reason or f'{attempt.seconds:.1f} s on {attempt.rows:,} rows'}")
