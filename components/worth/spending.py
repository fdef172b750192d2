"""What the nodes of a run cost, from their outcome files and the prices of the spec.

    costs = costs_of_run(settings, spec.worth.prices)        # inside a node
    sum(cost.today_usd for cost in costs)

Every try whose work had started counts, in the run where it was made. A cached node costs nothing today; what it cost when
it was made is known as long as that run's outcome files are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from pipelines.outcome import Outcome, Try, read_outcome, read_outcomes
from pipelines.settings import Settings
from pipelines.spec import Frozen, Prices

GPU_NODE = "train"
WATTS_PER_CORE = 4.0
"""Of a busy hardware thread: what codecarbon 3.3 takes for a processor it does not know (`DEFAULT_POWER_PER_CORE`). Its
table of processors is no help on a virtual machine, which does not tell its share of the chip."""


class NodeCost(Frozen):
    node: str
    stage: str
    cached: bool
    seconds: float
    """When it was made, all tries; so are `cpu_secs` and `usd`."""
    cpu_secs: float
    usd: float
    today_usd: float
    """Zero for a cached node."""
    known: bool = True
    """False: it is cached, and the outcome of the run that made it is gone."""


def costs_of_run(settings: Settings, prices: Prices) -> list[NodeCost]:
    """Of the nodes that ended so far in the run that this process works for."""
    outcomes = read_outcomes(settings, os.environ.get("DAYBREAK_PIPELINE", ""), os.environ.get("DAYBREAK_RUN_ID", ""))
    outcomes.pop(os.environ.get("DAYBREAK_NODE", ""), None)  # an earlier end of the node that asks
    return node_costs(outcomes, makers=find_makers(settings, outcomes), prices=prices)


def node_costs(outcomes: Mapping[str, Outcome], *, makers: Mapping[str, Outcome], prices: Prices) -> list[NodeCost]:
    """`makers`: by node, the outcome that made what a cached node of `outcomes` reuses."""
    return [_node_cost(outcome, makers.get(node), prices) for node, outcome in outcomes.items()]


def find_makers(settings: Settings, outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Among all runs of the pipeline that are still on disk."""
    cached = [outcome for outcome in outcomes.values() if not outcome.tries]
    return {outcome.node: maker for outcome in cached if (maker := _maker(settings, outcome))}


def price_of(tries: Iterable[Try], prices: Prices, *, gpus: int = 0) -> float:
    """USD."""
    return sum(
        one.cpu_secs / 3600 * prices.cpu_core_hour_usd
        + one.seconds / 3600 * (one.peak_memory_bytes / 1e9 * prices.gb_hour_usd + gpus * prices.gpu_hour_usd)
        for one in tries
    )


def energy_kwh(costs: Iterable[NodeCost]) -> float:
    """An estimate: `WATTS_PER_CORE` while a core is busy, nothing for idle machines, memory and cooling."""
    return sum(cost.cpu_secs for cost in costs) / 3600 * WATTS_PER_CORE / 1000


def sum_usd(costs: Iterable[NodeCost], *stages: str) -> float:
    """Of these stages, or of all; as made."""
    return sum(cost.usd for cost in costs if not stages or cost.stage in stages)


def _node_cost(outcome: Outcome, maker: Outcome | None, prices: Prices) -> NodeCost:
    today = outcome.tries
    made = today or (maker.tries if maker else ())
    usd = price_of(made, prices, gpus=prices.gpus if outcome.node == GPU_NODE else 0)
    return NodeCost(
        node=outcome.node,
        stage=outcome.stage,
        cached=not today,
        seconds=sum(one.seconds for one in made),
        cpu_secs=sum(one.cpu_secs for one in made),
        usd=usd,
        today_usd=usd if today else 0.0,
        known=bool(made),
    )


def _maker(settings: Settings, cached: Outcome) -> Outcome | None:
    uris = _uris(cached)
    for path in sorted((settings.runs / cached.pipeline).glob(f"*/nodes/{cached.node}.json")):
        found = read_outcome(path)
        if uris and found and found.tries and _uris(found) == uris:
            return found
    return None


def _uris(outcome: Outcome) -> set[str]:
    return {artifact.uri for artifacts in outcome.outputs.values() for artifact in artifacts}
