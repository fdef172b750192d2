"""Model versions of a pipeline in MLflow's registry. Which one is champion stands in the ledger (`components.ledger`).

    registry = Registry.connect(settings, "shop")
    registry.version("3").source
    registry.aliases()                      # {"champion": "3", "challenger": "4", "previous": None}

Every version carries its data day and the digest of the model, so that the same model of the same day is found again.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.ledger.entries import ALIASES
from components.tracking.server import connect, reachable, tracking_uri
from pipelines.errors import DataError, TransientError
from pipelines.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

DAY, KEY, STATUS = "daybreak.day", "daybreak.model_key", "daybreak.status"
"""Tags of a version: its data day, what it is, and what last happened to it as the ledger says."""
_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


@dataclass(frozen=True)
class Registry:
    client: MlflowClient
    uri: str
    name: str
    """Registered model: the pipeline's name."""

    @classmethod
    def connect(cls, settings: Settings, name: str) -> Registry:
        """Raises `TransientError` when there is no registry to talk to."""
        uri = tracking_uri(settings)
        if not uri or not reachable(uri):
            raise TransientError(
                f"the model registry does not answer. Received: MLflow at {uri or 'no address'}",
                fix="start it (`daybreak up`) or set MLFLOW_TRACKING_URI; the trained model is kept and the node resumes",
            )
        return cls(client=connect(uri), uri=uri, name=name)

    def version(self, number: str) -> ModelVersion:
        """Raises `DataError` for a version that the registry lost."""
        found = self._get(number)
        if found is None:
            raise DataError(
                f"the ledger names a version that the registry lacks. Received: {self.name} version {number}",
                fix=f"restore it in MLflow, or `daybreak rollback {self.name} --to VERSION --reason TEXT`",
            )
        return found

    def _get(self, number: str) -> ModelVersion | None:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_model_version(self.name, number)
        except MlflowException as error:
            if error.error_code not in _ABSENT:
                raise
            return None

    def aliases(self, names: Sequence[str] = ALIASES) -> dict[str, str | None]:
        """Where they point now."""
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_registered_model(self.name).aliases
        except MlflowException as error:
            if error.error_code not in _ABSENT:
                raise
            found = {}
        return {alias: str(found[alias]) if alias in found else None for alias in names}

    def set_alias(self, alias: str, version: str | None) -> bool:
        """False for a version that the registry lost."""
        if version is None:
            self.client.delete_registered_model_alias(self.name, alias)
            return True
        there = self._get(version) is not None
        if there:
            self.client.set_registered_model_alias(self.name, alias, version)
        return there

    def tag(self, version: str, name: str, value: str) -> None:
        found = self._get(version)
        if found is not None and found.tags.get(name) != value:
            self.client.set_model_version_tag(self.name, version, name, value)

    def data_day(self, version: str) -> datetime.date:
        """The day the version learned from; a version registered by hand counts as older than all."""
        try:
            return datetime.date.fromisoformat(self.version(version).tags.get(DAY, ""))
        except ValueError:
            return datetime.date.min

    def find(self, *, day: datetime.date, key: str) -> ModelVersion | None:
        """The version that is this model of this day."""
        found = self._search(f"name = '{self.name}' and tags.`{KEY}` = '{key}' and tags.`{DAY}` = '{day}'")
        return min(found, key=lambda version: int(version.version), default=None)

    def _search(self, filter_string: str) -> list[ModelVersion]:
        found: list[ModelVersion] = []
        token = None
        while True:
            page = self.client.search_model_versions(filter_string, max_results=1000, page_token=token)
            found += page
            token = page.token
            if not token:
                return found
