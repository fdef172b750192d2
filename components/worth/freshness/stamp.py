"""Which models a day's freshness is measured with, as a part of the node's cache key."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from components.worth.freshness.history import read_history
from components.worth.ledger import entry_of
from pipelines.errors import SpecError
from pipelines.manifest import Manifest
from pipelines.settings import Settings
from pipelines.spec import Worth


def freshness_stamp(manifest: Manifest, parameters: Mapping[str, str | int]) -> str:
    """The champion's version, and version, age and cost of every model that is replayed."""
    worth = Worth.model_validate(manifest.spec["worth"]) if manifest.spec and manifest.spec.get("worth") else None
    if worth is None or worth.freshness is None:
        raise SpecError("the manifest holds no `worth.freshness`", fix=f"run `daybreak compile {manifest.pipeline}`")
    day = datetime.date.fromisoformat(str(parameters["day"]))
    history = read_history(Settings.from_environment(), manifest.pipeline, day, count=worth.freshness.models)
    champion = history.champion
    lines = [f"champion {champion.version} of {champion.day}" if champion else "no champion"]
    for age, version in history.versions.items():
        entry = entry_of(version)
        cost = f"{entry.training_usd + entry.gates_usd:.6g} USD" if entry else "no cost"
        lines.append(f"age {age} version {version.version} {cost}")
    return "\n".join(lines)
