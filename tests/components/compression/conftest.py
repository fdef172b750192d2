"""A small trained model with embeddings, its day, and a workshop to make variants of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from components.compression.variants import Workshop
from components.examples.records import RowGroup, row_groups, to_lists, write_shard
from components.training.export import export_model
from components.training.job import Job
from components.training.rows import Rows
from components.training.user_model import build_model
from pipelines.spec import Compress
from tests.components.training.conftest import COLUMNS, LABEL, Transformed, job_in, transformed

__all__ = ["transformed"]

MODEL = "tests.components.compression.wide_model"


def compress(**changes: Any) -> Compress:
    return Compress.model_validate({"variants": ["int8"], "max_loss": {"auc": 0.01}, **changes})


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory, transformed: Transformed) -> Job:
    return job_in(tmp_path_factory.mktemp("job") / "job", transformed, seed=3).model_copy(update={"model": MODEL})


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, transformed: Transformed, job: Job) -> Path:
    """A SavedModel as the train node leaves it."""
    model = build_model(job, tf.distribute.get_strategy())
    rows = Rows(job.rows / "train")
    features = {name: column.unpack(*rows.take(slice(None))) for name, column in rows.columns.items()}
    labels = features.pop(LABEL)
    model.fit(features, labels, epochs=8, batch_size=64, verbose=0)
    path = tmp_path_factory.mktemp("trained") / "Format-Serving"
    export_model(model, transform=job.transform, schema=transformed.schema, label=LABEL, path=path)
    return path


@pytest.fixture(scope="session")
def groups(tmp_path_factory: pytest.TempPathFactory, transformed: Transformed) -> list[RowGroup]:
    """Raw rows of the eval split."""
    folder = tmp_path_factory.mktemp("examples")
    for index, part in enumerate((transformed.raw[:200], transformed.raw[200:])):
        write_shard(to_lists(pa.RecordBatch.from_pylist(part), COLUMNS), folder / "Split-eval", index=index, count=2)
    return row_groups(folder, "eval")


MakeWorkshop = Callable[..., Workshop]


@pytest.fixture(scope="session")
def make_workshop(transformed: Transformed, job: Job, trained: Path) -> MakeWorkshop:
    def make(**changes: Any) -> Workshop:
        return Workshop(
            job=job,
            trained=trained,
            examples=transformed.examples,
            schema=transformed.schema,
            compress=compress(**changes),
        )

    return make


def stored_weights(saved_model: Path) -> dict[str, np.ndarray]:
    """The variables that the predictions of a SavedModel read, by name."""
    loaded = tf.saved_model.load(str(saved_model))
    [function] = loaded.serving.of_features.concrete_functions
    return {f"{index} {variable.name}": variable.numpy() for index, variable in enumerate(function.variables)}
