"""The log that a day's comparison reads, as a part of the business node's cache key."""

from __future__ import annotations

from collections.abc import Mapping

from components.business.log import log_fingerprint
from components.contract.source import days_of_window, parse_day
from pipelines.errors import SpecError
from pipelines.manifest import Manifest
from pipelines.spec import Data, Policy


def log_stamp(manifest: Manifest, parameters: Mapping[str, str | int]) -> str:
    """A digest for each day: another catalogue or other lists make another comparison."""
    if manifest.spec is None:
        raise SpecError("the manifest holds no spec", fix=f"run `daybreak compile {manifest.pipeline}`")
    policy, data = Policy.model_validate(manifest.spec["policy"]), Data.model_validate(manifest.spec["data"])
    days = days_of_window(data.source, parse_day(str(parameters["day"])))
    return "\n".join(f"{day} {log_fingerprint(policy, data, day)}" for day in days)
