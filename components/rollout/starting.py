"""A rollout that a person starts: of a registered version, or of an experiment between two recipes.

start_by_hand(settings, spec, version="7", actor="ann", reason="the interval is wide", now=now)
"""

from __future__ import annotations

import datetime

from components.ledger.database import COMMAND_PATIENCE_SECS
from components.ledger.entries import Event, standing, versions
from components.ledger.ledger import Ledger
from components.rollout.standing import Standing, plan_of
from components.rollout.store import RolloutStore
from components.rollout.versions import recipe_version
from pipelines.errors import SpecError, bounded
from pipelines.settings import Settings
from pipelines.spec import Spec


def start_by_hand(
    settings: Settings, spec: Spec, *, version: str, actor: str, reason: str, now: datetime.datetime
) -> Standing:
    """Queues it, in the place of one that is queued. Raises `SpecError` where there is nothing to compare."""
    ledger = Ledger.open(settings, spec.name, patience_secs=COMMAND_PATIENCE_SECS)
    entries, plan = ledger.entries(), plan_of(spec)
    champion = standing(entries).champion
    if champion is None or plan is None:
        raise SpecError(
            f"a rollout compares with a champion. Received: {spec.name}, which has none",
            fix=f"`daybreak run {spec.name} --day YYYY-MM-DD`: the first accepted model is promoted at once",
        )
    recipe = plan.terms.challenger
    registered = versions(entries, Event.REGISTERED)
    if recipe:
        challenger = _of_recipe(ledger, recipe, version)
    else:
        challenger = version or next(iter(reversed(registered)), "")
        if challenger not in registered or challenger == champion:
            others = bounded(one for one in reversed(registered) if one != champion)
            raise SpecError(
                f"`--version` must be a registered version, not the champion: {others or 'there is none'}. "
                f"Received: {challenger}",
                fix=f"see `daybreak champion {spec.name} --history`",
            )
    return RolloutStore(ledger.engine).begin(
        model=spec.name,
        plan=plan,
        champion=champion,
        challenger=challenger,
        actor=actor,
        reason=reason,
        now=now,
        code="started",
    )


def _of_recipe(ledger: Ledger, recipe: str, version: str) -> str:
    live = standing(Ledger(ledger.engine, recipe).entries()).champion
    if live is None or version:
        raise SpecError(
            f"the challenger of an experiment is the champion of {recipe}: {live or 'there is none'}. "
            f"Received: --version {version or 'none'}",
            fix=f"leave `--version` out, and see that a retrain of {recipe} was accepted",
        )
    return recipe_version(recipe, live)
