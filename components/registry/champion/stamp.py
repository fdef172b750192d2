"""Which champion a day meets, as a part of the champion node's cache key."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from components.registry.versions import Registry
from pipelines.manifest import Manifest
from pipelines.settings import Settings


def champion_stamp(manifest: Manifest, parameters: Mapping[str, str | int]) -> str:
    """`version 3`, or `none`: another champion makes another comparison."""
    day = datetime.date.fromisoformat(str(parameters["day"]))
    champion = Registry.connect(Settings.from_environment(), manifest.pipeline).champion_of(day)
    return f"version {champion.version}" if champion else "none"
