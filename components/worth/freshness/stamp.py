"""Which models a day's freshness is measured with, as a part of the node's cache key."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from components.registry.versions import Registry, data_day
from components.worth.ledger import all_versions, entry_of
from components.worth.replay import aged_versions
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
    registry = Registry.connect(Settings.from_environment(), manifest.pipeline)
    champion = registry.champion_of(day)
    lines = [f"champion {champion.version} of {data_day(champion)}" if champion else "no champion"]
    for age, version in aged_versions(all_versions(registry), day, count=worth.freshness.models).items():
        entry = entry_of(version)
        cost = f"{entry.training_usd + entry.gates_usd:.6g} USD" if entry else "no cost"
        lines.append(f"age {age} version {version.version} {cost}")
    return "\n".join(lines)
