"""What is known of a rollout at a time: exposures and outcomes become the sums that `decide` reads.

    snapshot = take_snapshot(spec, log=log, rollout_id="shop-7", as_of=now, since=standing.started)
    path, snapshot = kept_snapshot(spec, …, state=settings.state)      # an immutable file

Neither order, duplicates, the files that rows are in, nor the number of workers change it.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam

from components.aggregation import Aggregate
from components.concurrency import Concurrently
from components.days.merging import read_pickled, write_pickled
from components.exposures.archiving import archive, ask_to_seal
from components.exposures.inbox import import_inbox
from components.exposures.journal import EXPOSURES, OUTCOMES
from components.exposures.reading import days_between, row_groups, rows
from components.join.cohorts import Cohorts, SumUnits
from components.join.matching import Match
from components.join.question import CONTROL, SHADOW, TREATMENT, Question, moment
from components.join.shredding import EXPOSURES_PIECE, OUTCOMES_PIECE, Shred
from components.rollout.snapshot import KpiSums, Snapshot, Sums
from pipelines.errors import DataError, SpecError
from pipelines.manifest import write_atomically
from pipelines.spec import Spec

LOOKBACK_DAYS = 7
"""Before the rollout, for the covariate."""
_MOST_SLICES = 50
"""Of one column, the largest: a column may hold anything that clients send."""


def kept_snapshot(
    spec: Spec,
    *,
    log: Path,
    state: Path,
    rollout_id: str,
    as_of: datetime.datetime,
    since: datetime.datetime,
    beam_args: Sequence[str],
) -> tuple[Path, Snapshot]:
    """The one of this time, if there is one already; it is never changed."""
    path = snapshot_path(state, model=spec.name, rollout_id=rollout_id, as_of=as_of)
    if not path.exists():
        found = take_snapshot(spec, log=log, rollout_id=rollout_id, as_of=as_of, since=since, beam_args=beam_args)
        write_once(path, found)
    return path, Snapshot.model_validate_json(path.read_bytes())


def snapshot_path(state: Path, *, model: str, rollout_id: str, as_of: datetime.datetime) -> Path:
    name = as_of.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H%M%S.%fZ").replace(".000000", "")
    return state / "rollouts" / model / rollout_id / "snapshots" / f"{name}.json"


def write_once(path: Path, snapshot: Snapshot) -> None:
    """Of several writers the first one wins."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write_atomically(temporary, snapshot.model_dump_json(indent=1).encode() + b"\n")
        if not path.exists():
            path.hardlink_to(temporary)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)


def take_snapshot(
    spec: Spec,
    *,
    log: Path,
    rollout_id: str,
    as_of: datetime.datetime,
    since: datetime.datetime,
    beam_args: Sequence[str],
) -> Snapshot:
    """Raises `SpecError` for a spec without a rollout."""
    if spec.rollout is None:
        raise SpecError("the spec has no `rollout`", fix="declare one in pipeline.yaml", place=spec.name)
    question = Question.of(
        spec.rollout,
        spec.kpis,
        model=spec.name,
        rollout_id=rollout_id,
        as_of=as_of,
        since=since,
        slices=tuple(dict.fromkeys(cross[0] for cross in spec.evaluate.slices if len(cross) == 1)),
    )
    settled = settle(log)
    days = days_between(since - datetime.timedelta(days=LOOKBACK_DAYS), as_of)
    exposures, bad = row_groups(log, EXPOSURES, days)
    # An outcome is of the day when it happened, by a clock that may be a day ahead.
    outcomes, worse = row_groups(log, OUTCOMES, [*days, days[-1] + datetime.timedelta(days=1)])
    groups = [(EXPOSURES_PIECE, group) for group in exposures] + [(OUTCOMES_PIECE, group) for group in outcomes]
    cohorts = _joined(groups, question, beam_args, log) if groups else Cohorts()
    return _snapshot(question, cohorts, complete=settled and not (bad or worse or cohorts.traffic.unreadable))


def settle(log: Path) -> bool:
    """What gateways, also dead ones, and files of outcomes hold becomes part of the log; False: not all of it."""
    try:
        ask_to_seal(log)
        archive(log)
        import_inbox(log)
    except OSError:
        return False
    return True


def first_exposure(log: Path, rollout_id: str) -> datetime.datetime:
    """Raises `DataError` when there is none."""
    folders = sorted((log / EXPOSURES).glob("day=*"))
    for folder in folders:
        day = datetime.date.fromisoformat(folder.name.removeprefix("day="))
        found = [
            time
            for table in rows(log, EXPOSURES, [day], columns=["rollout_id", "time"])
            for one, time in zip(*(table.column(name).to_pylist() for name in ("rollout_id", "time")), strict=True)
            if one == rollout_id
        ]
        if found:
            return moment(min(found))
    raise DataError(
        f"the log must hold exposures of the rollout. Received: none of {rollout_id}",
        fix="give its id, as `daybreak rollout list` shows it",
        place=str(log),
    )


def _joined(groups: Sequence[Any], question: Question, beam_args: Sequence[str], log: Path) -> Cohorts:
    path = log / f".join-{uuid.uuid4().hex}"
    try:
        with beam.Pipeline(argv=list(beam_args)) as pipeline:
            _ = (
                pipeline
                | beam.Create(groups)
                | "Shred" >> Concurrently(Shred(question))
                | "ByDecision" >> beam.GroupByKey()
                | "Pieces" >> beam.MapTuple(listed)
                | "Match" >> Concurrently(Match(question))
                | "ByUnit" >> beam.GroupByKey()
                | "UnitPieces" >> beam.MapTuple(listed)
                | "Sum" >> Aggregate(SumUnits(question))
                | "Collect" >> beam.Map(write_pickled, path)
            )
        found: Cohorts = read_pickled(path)
        return found
    finally:
        path.unlink(missing_ok=True)


def listed(key: Any, found: Any) -> tuple[Any, list[Any]]:
    """What threads may read: Beam's own iterables are of one thread."""
    return key, list(found)


def _snapshot(question: Question, cohorts: Cohorts, *, complete: bool) -> Snapshot:
    traffic, units = cohorts.traffic, cohorts.units
    control, treatment, shadow = (traffic.of(code, units=units[code]) for code in (CONTROL, TREATMENT, SHADOW))
    return Snapshot(
        model=question.model,
        rollout_id=question.rollout_id,
        as_of=moment(question.as_of),
        kpis=tuple(_kpi_sums(kpi.name, question, cohorts) for kpi in question.kpis),
        control=control,
        treatment=treatment,
        shadow=shadow,
        crossed_units=cohorts.crossed,
        duplicates=traffic.duplicates,
        orphans=traffic.orphans,
        newest_exposure=moment(traffic.newest) if traffic.newest else None,
        complete=complete,
    )


def _kpi_sums(name: str, question: Question, cohorts: Cohorts) -> KpiSums:
    def sums(of: str, code: int) -> Sums:
        found = cohorts.sums.get((name, of, code))
        if found is None:
            return Sums()
        return Sums(**dict(zip(Sums.model_fields, [int(found[0]), *found[1:].tolist()], strict=True)))

    slices = {}
    for column in question.slices:
        known = sorted({of for kpi, of, _ in cohorts.sums if kpi == name and of.startswith(f"{column}=")})
        both = {of: (sums(of, CONTROL), sums(of, TREATMENT)) for of in known}
        largest = sorted(both, key=lambda of: (-both[of][0].n - both[of][1].n, of))[:_MOST_SLICES]
        slices.update({of: both[of] for of in sorted(largest)})
    return KpiSums(name=name, control=sums("", CONTROL), treatment=sums("", TREATMENT), slices=slices)
