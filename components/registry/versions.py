"""Model versions of a pipeline in MLflow's registry: which one was champion of a day, and moving the aliases.

    registry = Registry.connect(settings, "shop")
    champion = registry.champion_of(datetime.date(2026, 1, 6))      # what day 6 is compared with
    registry.promote(version)

Every version carries its data day and the digest of the model, so that the same model of the same day is found again.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.tracking.server import connect, reachable, tracking_uri
from pipelines.errors import TransientError
from pipelines.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
DAY, KEY, PROMOTED = "daybreak.day", "daybreak.model_key", "daybreak.promoted"
"""Tags of a version: its data day, what it is, and how it became champion (`alias`, or `as_of` for a past day)."""


@dataclass(frozen=True)
class Registry:
    client: MlflowClient
    uri: str
    name: str
    """Registered model: the pipeline's name."""
    lock_path: Path

    @classmethod
    def connect(cls, settings: Settings, name: str) -> Registry:
        """Raises `TransientError` when there is no registry to talk to."""
        uri = tracking_uri(settings)
        if not uri or not reachable(uri):
            raise TransientError(
                f"the model registry does not answer. Received: MLflow at {uri or 'no address'}",
                fix="start it (`daybreak up`) or set MLFLOW_TRACKING_URI; the trained model is kept and the node resumes",
            )
        lock = settings.runs / name / "locks" / "registry.lock"
        return cls(client=connect(uri), uri=uri, name=name, lock_path=lock)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time: aliases have no compare-and-swap."""
        self.lock_path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def by_alias(self, alias: str) -> ModelVersion | None:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_model_version_by_alias(self.name, alias)
        except MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise

    def find(self, *, day: datetime.date, key: str) -> ModelVersion | None:
        """The version that is this model of this day."""
        found = self._search(f"name = '{self.name}' and tags.`{KEY}` = '{key}' and tags.`{DAY}` = '{day}'")
        return min(found, key=lambda version: int(version.version), default=None)

    def champion_of(self, day: datetime.date) -> ModelVersion | None:
        """What a candidate of `day` is compared with: the champion if it is older, else the newest promoted before.

        So a day that is run again, or backfilled, meets the champion it met the first time.
        """
        champion = self.by_alias(CHAMPION)
        if champion is None or data_day(champion) < day:
            return champion
        earlier = [
            version
            for version in self._search(f"name = '{self.name}'")
            if version.tags.get(PROMOTED) and data_day(version) < day
        ]
        return max(earlier, key=lambda version: (data_day(version), int(version.version)), default=None)

    def promote(self, version: ModelVersion) -> ModelVersion | None:
        """Moves @champion to `version` and @previous to the one before; a champion of a later day stays.

        Returns the champion before. Doing it twice changes nothing.
        """
        before = self.by_alias(CHAMPION)
        if before is not None and data_day(before) > data_day(version):
            self._tag(version, PROMOTED, "as_of")
            return before
        if before is not None and before.version != version.version:
            self.client.set_registered_model_alias(self.name, PREVIOUS, before.version)
        self._tag(version, PROMOTED, "alias")
        self.client.set_registered_model_alias(self.name, CHAMPION, version.version)
        return before

    def challenge(self, version: ModelVersion) -> None:
        """Moves @challenger to `version`, unless it already is at one of a later day."""
        before = self.by_alias(CHALLENGER)
        if before is None or data_day(before) <= data_day(version):
            self.client.set_registered_model_alias(self.name, CHALLENGER, version.version)

    def aliases_of(self, version: ModelVersion) -> tuple[str, ...]:
        return tuple(sorted(self.client.get_model_version(self.name, version.version).aliases))

    def _tag(self, version: ModelVersion, name: str, value: str) -> None:
        if version.tags.get(name) != value:
            self.client.set_model_version_tag(self.name, version.version, name, value)

    def _search(self, filter_string: str) -> list[ModelVersion]:
        found: list[ModelVersion] = []
        token = None
        while True:
            page = self.client.search_model_versions(filter_string, max_results=1000, page_token=token)
            found += page
            token = page.token
            if not token:
                return found


def data_day(version: ModelVersion) -> datetime.date:
    """The day the version learned from; a version registered by hand counts as older than all."""
    try:
        return datetime.date.fromisoformat(version.tags.get(DAY, ""))
    except ValueError:
        return datetime.date.min
