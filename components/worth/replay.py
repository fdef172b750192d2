"""Models of earlier days on today's eval rows.

    replay = replay_models(models, groups, scoring)      # [rows] labels and users, [rows, models] predictions

A model that cannot score today's rows (it may know columns that are gone) is left out and named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from components.evaluation.scored import LABEL, UNIT
from components.evaluation.scoring import Score, Scoring
from components.examples.records import RowGroup, read
from components.inference.units import Floats
from components.registry.package import SAVED_MODEL
from components.registry.versions import Registry
from pipelines.errors import DataError, TransientError, one_line

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

Units = npt.NDArray[np.uint64]


class Replay(NamedTuple):
    labels: Floats
    units: Units
    predictions: dict[str, Floats]
    """By model."""
    left_out: dict[str, str]
    """Why, by model."""


def fetch_model(registry: Registry, version: ModelVersion, folder: Path) -> Path:
    """Its SavedModel, which may be missing there.

    Raises `DataError` when the server has no such model, `TransientError` when it does not give it for now.
    """
    import mlflow
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    # `models:/…` is looked up at the process-wide addresses, whatever is passed; elsewhere it opens a local database.
    mlflow.set_tracking_uri(registry.uri)
    mlflow.set_registry_uri(registry.uri)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        path = mlflow.artifacts.download_artifacts(
            artifact_uri=version.source, dst_path=str(folder), tracking_uri=registry.uri
        )
    except Exception as error:
        if isinstance(error, MlflowException) and error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise DataError(
                f"version {version.version} of {registry.name} must have a model. Received: {error}",
                fix="none is needed: the others are replayed",
            ) from error
        raise TransientError(
            f"cannot fetch version {version.version} of {registry.name}: {error}",
            fix="check the MLflow server and its artifact folder; then retry",
        ) from error
    return Path(path) / SAVED_MODEL


def choose_groups(groups: Sequence[RowGroup], rows: int) -> list[RowGroup]:
    """Evenly spread over the day, about `rows` of them; at least one group."""
    total = sum(group.row_count for group in groups)
    return list(groups[:: max(1, math.ceil(total / rows))])


def replay_models(models: Mapping[str, Path], groups: Sequence[RowGroup], scoring: Scoring, *, unit: str) -> Replay:
    """`scoring`: as for one model; `unit` is the raw column whose values are users."""
    scoring = replace(scoring, unit=unit)
    left_out = {name: why for name, path in models.items() if (why := _why_unusable(scoring, name, path, groups))}
    usable = {name: path for name, path in models.items() if name not in left_out}
    if not usable:
        return Replay(np.zeros(0), np.zeros(0, np.uint64), {}, left_out)
    score = Score(replace(scoring, models=usable))
    score.setup()
    batches = [batch for group in groups for _, batch in score.process((0, group))]
    predictions = {name: _joined([batch.column(name).to_numpy() for batch in batches]) for name in usable}
    units = [batch.column(UNIT).to_numpy() for batch in batches]
    return Replay(
        labels=_joined([batch.column(LABEL).to_numpy() for batch in batches]),
        units=np.concatenate(units) if units else np.zeros(0, np.uint64),
        predictions=predictions,
        left_out=left_out,
    )


def _joined(parts: Sequence[npt.NDArray[np.float32]]) -> Floats:
    return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)


def _why_unusable(scoring: Scoring, name: str, path: Path, groups: Sequence[RowGroup]) -> str:
    score = Score(replace(scoring, models={name: path}))
    try:
        score.setup()
        for group in groups[:1]:
            found = score.score(read(group).slice(0, 16)).column(name).to_numpy()
            if not np.isfinite(found).all():
                return "its predictions are not finite"
    except Exception as error:  # noqa: BLE001 - whatever an old model raises, the others are replayed
        return one_line(error)
    return ""
