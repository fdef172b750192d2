"""Models that other servers hold: what a `Deployment` is for models laid out here.

endpoints = Endpoints("http://shop-{version}.internal/v2/models/shop", "shop")
endpoints.lay_out({"3", "4"}, fetch)        # {"4": error} for those that are not ready; nothing is laid out
endpoints.uri("3")                          # "http://shop-3.internal/v2/models/shop"
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from components.rollout.deployment import Deployment, Fetch
from components.rollout.versions import split_version
from components.serving.engines.addresses import Address
from components.serving.engines.readiness import require_ready
from pipelines.errors import DaybreakError
from pipelines.settings import Settings
from pipelines.spec import Rollout


@dataclass(frozen=True)
class Endpoints:
    template: str
    model: str

    def uri(self, version: str) -> str:
        model, number = split_version(self.model, version)
        return self.template.format(model=model, version=number)

    def lay_out(self, versions: Collection[str], fetch: Fetch) -> dict[str, DaybreakError]:
        """Whoever runs the servers loads the models. Returns those that are not ready, and why."""
        del fetch
        failed: dict[str, DaybreakError] = {}
        for version in sorted(versions):
            try:
                require_ready(Address.parse(self.uri(version)))
            except DaybreakError as error:
                failed[version] = error
        return failed

    def remove_others(self, needed: Collection[str]) -> list[str]:
        """Nothing is ours to remove."""
        del needed
        return []


def deployment_of(settings: Settings, model: str, terms: Rollout) -> Deployment | Endpoints:
    if terms.endpoint:
        return Endpoints(terms.endpoint, model)
    return Deployment(settings, model, litert=terms.engine == "litert")
