"""Which champion a day meets, as a part of the champion node's cache key."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from components.ledger.entries import champion
from components.ledger.ledger import Ledger
from pipelines.manifest import Manifest
from pipelines.settings import Settings


def champion_stamp(manifest: Manifest, parameters: Mapping[str, str | int]) -> str:
    """`version 3`, or `none`: another champion makes another comparison."""
    day = datetime.date.fromisoformat(str(parameters["day"]))
    entry = champion(Ledger.open(Settings.from_environment(), manifest.pipeline).entries(), before=day)
    return f"version {entry.version}" if entry else "none"
