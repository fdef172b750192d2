"""Lets TFX ask whether an artifact is there, wherever it is: its cache looks before it trusts an execution."""

from __future__ import annotations

from typing import Any

from tfx.dsl.io import filesystem_registry
from tfx.dsl.io.plugins.tensorflow_gfile import TensorflowFilesystem

from pipelines.artifact_store import ArtifactStore
from pipelines.settings import Settings
from pipelines.storage import SCHEMES

_BEFORE_TENSORFLOW = 0


class StorageFilesystem(TensorflowFilesystem):  # type: ignore[misc]
    """TensorFlow knows no `s3://`, and no artifact that was published only in part."""

    SUPPORTED_SCHEMES = [f"{scheme}://" for scheme in SCHEMES]

    @staticmethod
    def exists(path: Any) -> bool:
        return ArtifactStore.of(Settings.from_environment()).exists(str(path))


def register() -> None:
    filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(StorageFilesystem, priority=_BEFORE_TENSORFLOW)
