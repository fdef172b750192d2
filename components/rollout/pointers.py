"""Aliases in MLflow that a rollout points: the challenger that users meet, and the model held back.

rollout_aliases(engine, "shop")      # {"challenger": "4", "holdback": "1"}; empty where there is no rollout
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.ledger.entries import CHALLENGER

if TYPE_CHECKING:
    from sqlalchemy import Engine

HOLDBACK = "holdback"


def rollout_aliases(engine: Engine, model: str) -> dict[str, str | None]:
    """Without an active rollout the challenger is the ledger's: the newest registered version."""
    from sqlalchemy import select

    from components.rollout.store import RolloutStore
    from components.rollout.tables import split_projection as table

    active = RolloutStore(engine).active(model)
    aliases: dict[str, str | None] = {}
    if active and "@" not in active.challenger:  # a version of another recipe stands in another registered model
        aliases[CHALLENGER] = active.challenger
    with engine.connect() as connection:
        row = connection.execute(select(table.c.holdback).where(table.c.model == model)).one_or_none()
    return aliases | ({HOLDBACK: row.holdback} if row else {})
