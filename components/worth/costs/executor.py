"""An entry of the cost ledger from the outcomes of the run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact, artifact_utils

from components.decision.record import RegisteredModel
from components.registry.versions import Registry
from components.tracking import current
from components.worth.benefit.statement import Statement
from components.worth.ledger import ENTRY_FILE, Entry, record_costs
from components.worth.spending import NodeCost, costs_of_run, energy_kwh, sum_usd
from pipelines.manifest import write_atomically
from pipelines.settings import Settings
from pipelines.spec import Worth


class CostsExecutor(BaseExecutor):  # type: ignore[misc]
    """Work of `components.worth.costs.component.Costs`."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises `TransientError` when the registry does not answer."""
        settings = Settings.from_environment()
        worth = Worth.model_validate_json(exec_properties["worth"])
        registered = RegisteredModel.read(Path(artifact_utils.get_single_uri(input_dict["registration"])))
        statement = Statement.read(Path(artifact_utils.get_single_uri(input_dict["benefit"])))
        entry = make_entry(
            costs_of_run(settings, worth.prices),
            day=exec_properties["day"],
            run_id=os.environ.get("DAYBREAK_RUN_ID", ""),
            statement=statement,
        )
        folder = Path(artifact_utils.get_single_uri(output_dict["entry"]))
        write_atomically(folder / ENTRY_FILE, entry.model_dump_json(indent=1).encode() + b"\n")
        if registered.version:
            record_costs(Registry.connect(settings, exec_properties["pipeline"]), registered.version, entry)
        numbers = entry.model_dump(include={"training_usd", "gates_usd", "total_usd", "today_usd", "energy_kwh"})
        current().log_metrics(numbers)
        print(f"version {registered.version or 'none'}: {entry.total_usd:.4g} USD, {entry.today_usd:.4g} of it today")


def make_entry(costs: list[NodeCost], *, day: str, run_id: str, statement: Statement | None = None) -> Entry:
    return Entry(
        day=day,
        run_id=run_id,
        training_usd=sum_usd(costs, "training"),
        gates_usd=sum_usd(costs, "gates"),
        total_usd=sum_usd(costs),
        today_usd=sum(cost.today_usd for cost in costs),
        cpu_core_hours=sum(cost.cpu_secs for cost in costs) / 3600,
        energy_kwh=energy_kwh(costs),
        unknown=tuple(cost.node for cost in costs if not cost.known),
        statement=statement,
        nodes=tuple(costs),
    )
