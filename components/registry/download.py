"""A version's package from the registry to a folder.

package = download_package(registry, registry.version("3"), folder)
package / SAVED_MODEL
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.registry.versions import Registry
from pipelines.errors import TransientError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def download_package(registry: Registry, version: ModelVersion, folder: Path) -> Path:
    """Raises `TransientError` when it cannot be fetched."""
    import mlflow
    import mlflow.artifacts

    # `models:/…` is looked up at the process-wide addresses, whatever is passed; elsewhere it opens a local database.
    mlflow.set_tracking_uri(registry.uri)
    mlflow.set_registry_uri(registry.uri)
    try:
        found = mlflow.artifacts.download_artifacts(
            artifact_uri=version.source, dst_path=str(folder), tracking_uri=registry.uri
        )
    except Exception as error:
        raise TransientError(
            f"cannot fetch version {version.version} of {registry.name}: {error}",
            fix="check the MLflow server and its artifact folder; then retry",
        ) from error
    return Path(found)
