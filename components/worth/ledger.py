"""What each model version cost, beside what it was expected to bring: the cost ledger.

    record_costs(registry, entry)
    read_costs(registry)          # {version: entry}, oldest first

Kept as tags of the version in MLflow; writing again replaces. `record_costs` is the only place that writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from components.registry.versions import Registry
from components.worth.benefit.statement import Statement
from components.worth.spending import NodeCost
from pipelines.spec import Frozen

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

ENTRY, COST_USD = "daybreak.costs", "daybreak.cost_usd"
NET_BENEFIT_USD = "daybreak.expected_net_benefit_usd"
ENTRY_FILE = "costs.json"


class Entry(Frozen):
    day: str
    run_id: str
    training_usd: float
    gates_usd: float
    total_usd: float
    """All nodes, each as it cost when it was made."""
    today_usd: float
    """Of this run alone: cached nodes cost nothing."""
    cpu_core_hours: float
    energy_kwh: float
    """An estimate: see `components.worth.spending.WATTS_PER_CORE`."""
    unknown: tuple[str, ...] = ()
    """Cached nodes whose cost is no longer known, and not in the sums."""
    statement: Statement | None = None
    """What the `worth` gate found. None: it did not run."""
    nodes: tuple[NodeCost, ...] = ()
    """Left out of the version's tag."""


def record_costs(registry: Registry, version: str, entry: Entry) -> None:
    tags = {ENTRY: entry.model_copy(update={"nodes": ()}).model_dump_json(), COST_USD: f"{entry.total_usd:.6g}"}
    if entry.statement and entry.statement.net_usd:
        tags[NET_BENEFIT_USD] = f"{entry.statement.net_usd.value:.6g}"
    for name, value in tags.items():
        registry.client.set_model_version_tag(registry.name, version, name, value)


def entry_of(version: ModelVersion) -> Entry | None:
    """None for a version without costs, or with those of another release."""
    try:
        return Entry.model_validate_json(version.tags.get(ENTRY, ""))
    except ValidationError:
        return None


def read_costs(registry: Registry) -> dict[str, Entry]:
    versions = sorted(all_versions(registry), key=lambda version: int(version.version))
    return {version.version: entry for version in versions if (entry := entry_of(version))}


def all_versions(registry: Registry) -> list[ModelVersion]:
    found: list[ModelVersion] = []
    token = None
    while True:
        page = registry.client.search_model_versions(f"name = '{registry.name}'", max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found
