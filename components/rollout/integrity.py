"""Whether what was logged can be believed: what it finds holds a rollout, and says nothing of the candidate.

inspect_snapshot(standing, snapshot, now=now)        # checks; the first that is not `ok` is the reason
"""

from __future__ import annotations

import math
from datetime import datetime

from components.inference.mismatch import THRESHOLD, log_evidence
from components.rollout.checks import Check, Verdict
from components.rollout.snapshot import Snapshot
from components.rollout.standing import Standing, State

LEAST_UNITS = 200
"""Of an arm, before a share of it or a normal approximation means anything."""
LEAST_REQUESTS = 100_000
"""Before a share of orphans means anything: outcomes of the last minute come before their exposures are on disk."""
MAX_ORPHANS = 1e-4
"""Outcomes without exposure, of all requests: a log that loses one exposure in a hundred shows more, at any usual rate of
outcomes, long before whole units are missing."""
REASONS = {
    "snapshot": "There is no snapshot of this rollout that is whole and new.",
    "shadow": "No request was mirrored to it in `shadow_hours`.",
    "exposures": "No exposure was logged for too long.",
    "mismatches": "Requests were served by another version than assigned, without a reason.",
    "crossover": "Too many units were seen in both arms.",
    "sample_ratio": "The arms are not of equal size: assignment or logging is broken.",
    "orphans": "Too many outcomes have no exposure: the log loses rows.",
}


def inspect_snapshot(standing: Standing, snapshot: Snapshot | None, *, now: datetime) -> list[Check]:
    """In SHADOW and WATCH of the snapshot alone: one has no arms yet, the other no equal ones."""
    found = [_newest_snapshot(standing, snapshot, now)]
    at, held = standing.held or standing.state, standing.state is State.HOLD
    if snapshot is None or at is State.WATCH:
        return found
    if at is State.SHADOW:
        return [*found, _mirrored(snapshot)] if held else found
    found += [_newest_exposure(standing, snapshot, now), *_arms(standing, snapshot)]
    return [*found, count_orphans(snapshot)] if held else found


def count_orphans(snapshot: Snapshot) -> Check:
    """Looked at before a promotion, when there is enough traffic for transients not to matter."""
    requests = snapshot.control.requests + snapshot.treatment.requests
    share = snapshot.orphans / requests if requests else 0.0
    broken = requests >= LEAST_REQUESTS and share > MAX_ORPHANS
    return Check(name="orphans", observed=share, bound=MAX_ORPHANS, verdict=_hold_if(broken))


def _newest_snapshot(standing: Standing, snapshot: Snapshot | None, now: datetime) -> Check:
    bound = standing.plan.terms.ttl_secs
    if snapshot is None or snapshot.rollout_id != standing.id:
        waited = (now - standing.entered).total_seconds()
        patient = standing.state is not State.HOLD and waited <= bound
        return Check(name="snapshot", observed=None, bound=bound, verdict="waits" if patient else "hold")
    age = (now - snapshot.as_of).total_seconds()
    return Check(name="snapshot", observed=age, bound=bound, verdict=_hold_if(age > bound or not snapshot.complete))


def _newest_exposure(standing: Standing, snapshot: Snapshot, now: datetime) -> Check:
    """A stage that has just begun has had no time to log any."""
    times = [] if standing.state is State.HOLD else [standing.entered]
    times += [snapshot.newest_exposure] if snapshot.newest_exposure else []
    bound = standing.plan.terms.ttl_secs
    age = min(((now - time).total_seconds() for time in times), default=math.inf)
    return Check(
        name="exposures", observed=age if math.isfinite(age) else None, bound=bound, verdict=_hold_if(age > bound)
    )


def _mirrored(snapshot: Snapshot) -> Check:
    requests = snapshot.shadow.requests
    return Check(name="shadow", observed=requests, bound=1, verdict=_hold_if(not requests))


def _arms(standing: Standing, snapshot: Snapshot) -> list[Check]:
    control, treatment = snapshot.control, snapshot.treatment
    mismatches = control.mismatches + treatment.mismatches
    units = control.units + treatment.units + snapshot.crossed_units
    crossed = snapshot.crossed_units / units if units else 0.0
    most = standing.plan.terms.guardrails.max_crossover
    evidence, threshold = log_evidence(control.units, treatment.units), math.log(THRESHOLD)
    return [
        Check(name="mismatches", observed=mismatches, bound=0, verdict=_hold_if(mismatches > 0)),
        Check(
            name="crossover",
            observed=crossed,
            bound=most,
            verdict=_hold_if(units >= 2 * LEAST_UNITS and crossed > most),
        ),
        Check(name="sample_ratio", observed=evidence, bound=threshold, verdict=_hold_if(evidence >= threshold)),
    ]


def _hold_if(broken: bool) -> Verdict:
    return "hold" if broken else "ok"
