"""From where a rollout stands to the split document that gateways serve by: pure.

versions = needed_versions(served)            # to be laid out first
split = make_split(served, uris={"3": "/…/versions/3"}, version=8, now=now)
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.assignment.split import Experiment, Holdback, Model, PolicyTerms, Split
from components.ledger.entries import CHANGES, Entry, champion
from components.rollout.standing import Standing, State
from pipelines.spec import Policy, Rollout

_EXPOSED = frozenset({State.SHADOW, State.RAMP, State.PROMOTING})


@dataclass(frozen=True)
class Served:
    """All that the document depends on."""

    model: str
    champion: str
    terms: Rollout
    policy: Policy | None = None
    rollout: Standing | None = None
    """The active one."""
    holdback: str | None = None
    """Version."""


def needed_versions(served: Served) -> set[str]:
    """Also the champion before, while the new one is watched."""
    found = {served.champion, *([served.holdback] if served.holdback else [])}
    if served.rollout:
        found |= {served.rollout.champion, served.rollout.challenger}
    return found


def make_split(served: Served, *, uris: Mapping[str, str], version: int, now: datetime.datetime) -> Split:
    """A version that is not in `uris` is left out, and the arm that needs it; the champion has one."""
    experiment = _experiment(served.rollout) if served.rollout else None
    if experiment and experiment.challenger not in uris:
        experiment = None
    start, label = quarter(now.date())
    del start
    holdback = None
    if served.holdback in uris and served.terms.holdback:
        holdback = Holdback(salt=f"{served.model}-{label}", share=served.terms.holdback, version=str(served.holdback))
    return Split(
        model=served.model,
        version=version,
        written=now.timestamp(),
        ttl_secs=served.terms.ttl_secs,
        unit=served.terms.unit,
        champion=served.champion,
        models=tuple(Model(version=name, uri=uris[name]) for name in sorted(needed_versions(served) & set(uris))),
        experiment=experiment,
        holdback=holdback,
        policy=policy_terms(served.policy) if served.policy else None,
    )


def _experiment(standing: Standing) -> Experiment | None:
    """HOLD keeps the split of the state it came from."""
    state = standing.held if standing.state is State.HOLD else standing.state
    if state not in _EXPOSED:
        return None
    shadow = state is State.SHADOW
    share = 0.0 if shadow else standing.plan.terms.stages[standing.stage]
    return Experiment(rollout_id=standing.id, challenger=standing.challenger, share=share, shadow=shadow)


def policy_terms(policy: Policy) -> PolicyTerms:
    return PolicyTerms(
        id=f"softmax-{policy.score}-t{policy.temperature:g}-e{policy.epsilon:g}",
        item=policy.item,
        position=policy.position,
        temperature=policy.temperature,
        epsilon=policy.epsilon,
        score=policy.score,
    )


def quarter(day: datetime.date) -> tuple[datetime.date, str]:
    """First day and name, such as `2026Q1`."""
    number = (day.month - 1) // 3
    return day.replace(month=3 * number + 1, day=1), f"{day.year}Q{number + 1}"


def holdback_version(entries: Sequence[Entry], now: datetime.datetime) -> str | None:
    """Champion when the quarter began; the first one of a model that is younger."""
    start, _ = quarter(now.date())
    before = champion(entries, before=start)
    if before is not None:
        return before.version
    return next((entry.version for entry in entries if entry.event in CHANGES), None)
