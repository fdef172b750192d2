"""Snapshots by the join of the exposure log, as ticks ask for them.

ticker = Ticker.open(settings, "shop", measure=measure_from_log(settings))
"""

from __future__ import annotations

import datetime

from components.rollout.snapshot import Snapshot
from components.rollout.standing import Standing
from components.rollout.ticking import Measure
from pipelines.settings import Settings
from pipelines.spec import Spec


def measure_from_log(settings: Settings) -> Measure:
    """By the terms that were declared when the rollout began, whatever the spec says now."""

    def measure(standing: Standing, now: datetime.datetime, spec: Spec) -> Snapshot:
        from components.exposures.reading import default_log
        from components.join.snapshots import kept_snapshot
        from pipelines.cluster import beam_args, chosen

        declared = spec.model_copy(update={"rollout": standing.plan.terms, "kpis": standing.plan.kpis})
        _, snapshot = kept_snapshot(
            declared,
            log=default_log(settings),
            state=settings.state,
            rollout_id=standing.id,
            as_of=now,
            since=standing.started or standing.entered,
            beam_args=beam_args(chosen(spec.cluster), settings),
        )
        found: Snapshot = snapshot
        return found

    return measure
