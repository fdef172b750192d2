"""Models laid out for the gateway: `<state>/serving/<model>/versions/<version>/`, each a whole SavedModel or not there.

deployment = Deployment(settings, "shop")
deployment.lay_out({"3", "4"}, fetch)       # {"4": error} for those that could not be fetched
deployment.path("3")
deployment.remove_others({"3", "4"})        # after a grace
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from components.compression.litert_paths import FOLDER, MODEL_FILE
from pipelines.errors import DaybreakError, TransientError, one_line
from pipelines.settings import Settings

GRACE_SECS = 3600.0
"""A version that nobody needs any more stays so long, for gateways that are about to load it."""

Fetch = Callable[[str, Path], None]
"""`fetch(version, folder)` writes the SavedModel of a version into the empty folder."""


def serving_folder(settings: Settings, model: str) -> Path:
    return settings.state / "serving" / model


def split_path(settings: Settings, model: str) -> Path:
    return serving_folder(settings, model) / "split.json"


@dataclass(frozen=True)
class Deployment:
    """One writer at a time: the ledger's turn."""

    settings: Settings
    model: str
    litert: bool = False
    """Versions that have a LiteRT file are computed by it."""

    @property
    def folder(self) -> Path:
        return serving_folder(self.settings, self.model) / "versions"

    def path(self, version: str) -> Path:
        return self.folder / version

    def uri(self, version: str) -> str:
        """For `components.serving.engines`."""
        file = self.path(version) / FOLDER / MODEL_FILE
        return str(file.parent if self.litert and file.exists() else self.path(version))

    def has(self, version: str) -> bool:
        return (self.path(version) / "saved_model.pb").exists()

    def lay_out(self, versions: Collection[str], fetch: Fetch) -> dict[str, DaybreakError]:
        """Returns those that are not there, and why."""
        failed: dict[str, DaybreakError] = {}
        for version in sorted(versions):
            try:
                if not self.has(version):
                    self._make(version, fetch)
                os.utime(self.path(version))
            except DaybreakError as error:
                failed[version] = error
            except OSError as error:
                failed[version] = TransientError(
                    f"version {version} of {self.model} cannot be laid out: {one_line(error)}",
                    fix=f"free space below {self.folder}; the next tick tries again",
                )
        return failed

    def _make(self, version: str, fetch: Fetch) -> None:
        temporary = self.folder / f".{version}"  # what a killed writer left there is made anew
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            fetch(version, temporary)
            shutil.rmtree(self.path(version), ignore_errors=True)  # never whole: it has no graph
            temporary.rename(self.path(version))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def remove_others(self, needed: Collection[str], *, grace_secs: float = GRACE_SECS) -> list[str]:
        """Those that no tick needed for so long; returns them."""
        if not self.folder.exists():
            return []
        old = time.time() - grace_secs
        stale = [p for p in self.folder.iterdir() if p.name not in needed and p.stat().st_mtime < old]
        for path in stale:
            shutil.rmtree(path, ignore_errors=True)
        return sorted(path.name for path in stale)
