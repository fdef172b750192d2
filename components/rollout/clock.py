"""The time of rollouts whose clock is simulated: where the last tick was, so that nothing goes back or leaps to today.

latest(store, "shop", at_least=None)            # None: no tick has moved anything yet
"""

from __future__ import annotations

import datetime

from components.rollout.standing import State
from components.rollout.store import RolloutStore


def latest(store: RolloutStore, model: str, *, at_least: datetime.datetime | None = None) -> datetime.datetime | None:
    found = [at_least] if at_least else []
    for rollout in store.standings(model):
        # Whoever queues, or replaces what is queued, writes today's time.
        if rollout.seq > 1 and rollout.state is not State.SUPERSEDED:
            found += [time for time in (rollout.entered, store.memory(rollout.id).ticked) if time]
    return max(found, default=None)
