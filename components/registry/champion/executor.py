"""Downloads the champion's package and lays it out as TFX artifacts."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact, artifact_utils

from components.ledger.entries import champion
from components.ledger.ledger import Ledger
from components.registry.download import download_package
from components.registry.package import SAVED_MODEL, STATISTICS
from components.registry.versions import Registry
from pipelines.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

SERVING_FOLDER = "Format-Serving"


class ChampionExecutor(BaseExecutor):  # type: ignore[misc]
    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises `TransientError` when ledger or registry do not answer, or the package cannot be fetched."""
        del input_dict
        day = datetime.date.fromisoformat(exec_properties["day"])
        settings, name = Settings.from_environment(), exec_properties["pipeline"]
        entry = champion(Ledger.open(settings, name).entries(), before=day)
        model = artifact_utils.get_single_instance(output_dict["model"])
        statistics = artifact_utils.get_single_instance(output_dict["statistics"])
        if entry is None or entry.version is None:
            print(f"no champion of {name} before {day}")
            for artifact in (model, statistics):
                Path(artifact.uri).mkdir(parents=True, exist_ok=True)
                artifact.set_string_custom_property("absent", "yes")
            return
        registry = Registry.connect(settings, name)
        version = registry.version(entry.version)
        print(f"champion of {registry.name} before {day}: version {version.version}")
        _fetch(registry, version, model=Path(model.uri), statistics=Path(statistics.uri))
        splits = sorted(path.name.removeprefix("Split-") for path in Path(statistics.uri).glob("Split-*"))
        statistics.split_names = artifact_utils.encode_split_names(splits)
        for artifact in (model, statistics):
            artifact.set_string_custom_property("version", version.version)


def _fetch(registry: Registry, version: ModelVersion, *, model: Path, statistics: Path) -> None:
    with tempfile.TemporaryDirectory(dir=model.parent) as folder:
        package = download_package(registry, version, Path(folder))
        shutil.copytree(package / SAVED_MODEL, model / SERVING_FOLDER, dirs_exist_ok=True)
        shutil.copytree(package / STATISTICS, statistics, dirs_exist_ok=True)
