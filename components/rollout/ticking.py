"""One tick of the rollouts: measure, decide, write, carry out, project. Idempotent; two at once are harmless.

    ticker = Ticker.open(settings, "shop", measure=measure_from_log(settings))
    report = ticker.tick(now=now)          # now: of the clock, or of a simulated one
    report.lines, report.problems

A killed tick is finished by the next one. Without snapshots a rollout holds; aborts and rollbacks need none.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field

from components.ledger.entries import standing as ledger_standing
from components.ledger.ledger import Ledger, LedgerConflict
from components.registry.versions import Registry
from components.rollout.adopting import adopt
from components.rollout.completing import ACTOR, complete
from components.rollout.deciding import Decision, decide
from components.rollout.deployment import Fetch
from components.rollout.endpoints import deployment_of
from components.rollout.events import Change
from components.rollout.noticing import notice
from components.rollout.projection import Connect, Projection, fetch_from
from components.rollout.snapshot import Snapshot
from components.rollout.standing import QUEUED, Standing, State
from components.rollout.store import RolloutConflict, RolloutStore
from pipelines.errors import DaybreakError, one_line
from pipelines.manifest import read_manifest
from pipelines.settings import Settings
from pipelines.spec import Spec

Measure = Callable[[Standing, datetime.datetime, Spec], Snapshot]
"""Makes the snapshot of a rollout as of a time; whatever it raises, the rollout goes on without one."""

_MEASURED = frozenset({State.SHADOW, State.RAMP, State.WATCH, State.HOLD})


@dataclass
class Report:
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ticker:
    settings: Settings
    ledger: Ledger
    store: RolloutStore
    spec: Spec
    measure: Measure
    connect: Connect
    fetch: Fetch

    @classmethod
    def open(cls, settings: Settings, model: str, *, measure: Measure) -> Ticker:
        """Raises `TransientError` when the database does not answer, `SpecError` without a manifest."""
        spec = Spec.model_validate(read_manifest(settings.manifests / f"{model}.json").spec)
        ledger = Ledger.open(settings, model)

        def connect(name: str) -> Registry:
            return Registry.connect(settings, name)

        return cls(
            settings=settings,
            ledger=ledger,
            store=RolloutStore(ledger.engine),
            spec=spec,
            measure=measure,
            connect=connect,
            fetch=fetch_from(connect, model),
        )

    @property
    def model(self) -> str:
        return self.ledger.model

    def tick(self, *, now: datetime.datetime) -> Report:
        report = Report()
        for step in (self._notice, self._decide):
            self._attempt(step, now, report)
        with self.ledger.turn():  # the snapshot is made outside: it may take minutes, and a retrain needs the turn
            for step in (self._notice, self._complete, self._start, self._complete):
                self._attempt(step, now, report)
            report.problems += self._projection().write(self.spec, now=now)
        return report

    def reconcile(self, *, now: datetime.datetime) -> Report:
        """What the world sees, written again; nothing is decided."""
        with self.ledger.turn():
            return Report(problems=self._projection().write(self.spec, now=now))

    def _projection(self) -> Projection:
        return Projection(self.settings, self.ledger, self.store, fetch=self.fetch, connect=self.connect)

    def _attempt(
        self, step: Callable[[datetime.datetime, Report], None], now: datetime.datetime, report: Report
    ) -> None:
        """Whoever was faster did what was to be done, or changed what is to be done: the next tick sees to it."""
        try:
            step(now, report)
        except (RolloutConflict, LedgerConflict) as error:
            report.lines.append(error.message)
        except DaybreakError as error:
            report.problems.append(str(error))

    def _notice(self, now: datetime.datetime, report: Report) -> None:
        for standing in filter(None, (self.store.active(self.model), self.store.queued(self.model))):
            other = self._other_champion(standing)
            while found := notice(
                standing, self.ledger.entries(), self.store.events(standing.id), now=now, other=other
            ):
                standing = self._apply(standing, found.change, report, ledger_seq=found.ledger_seq)

    def _other_champion(self, standing: Standing) -> str | None:
        recipe = standing.plan.terms.challenger
        return ledger_standing(Ledger(self.ledger.engine, recipe).entries()).champion if recipe else None

    def _decide(self, now: datetime.datetime, report: Report) -> None:
        standing = self.store.active(self.model)
        if standing is None or standing.state not in _MEASURED:
            return
        digest = ""
        try:
            snapshot = self.measure(standing, now, self.spec)
        except Exception as error:  # noqa: BLE001, the join is somebody else's job, and may fail in any way
            report.problems.append(f"{standing.id} has no snapshot: {one_line(error)}")
            decision = without_snapshot(standing, measured=self.store.memory(standing.id).measured, now=now)
        else:
            digest, decision = snapshot.digest, decide(standing, snapshot, now=now)
            self.store.remember(standing.id, measured=now)
        self.store.remember(standing.id, ticked=now, decided=decision.model_dump(mode="json"))
        if decision.moves or decision.look:
            self._apply(standing, Change.of(decision, now=now), report, snapshot=digest)

    def _complete(self, now: datetime.datetime, report: Report) -> None:
        standing = self.store.active(self.model)
        if standing is not None:
            after = complete(self.store, self.ledger, standing, now=now, adopt=self._adopt)
            if after != standing:
                _tell(after, report)

    def _adopt(self, version: str) -> str:
        return adopt(self.connect, self.model, version)

    def _start(self, now: datetime.datetime, report: Report) -> None:
        """The queued one, when nobody is active: its model is laid out before anybody may meet it."""
        standing = self.store.queued(self.model)
        if standing is None or self.store.active(self.model):
            return
        deployment = deployment_of(self.settings, self.model, self.spec.rollout or standing.plan.terms)
        failed = deployment.lay_out({standing.challenger}, self.fetch)
        if failed:
            report.problems.append(f"{standing.id} waits for its model: {failed[standing.challenger].message}")
            return
        live = ledger_standing(self.ledger.entries()).champion
        while standing.state in QUEUED:
            decision = decide(standing, None, now=now)
            if not decision.moves:
                return
            changed = live if live != standing.champion else None  # promoted while this one waited
            standing = self._apply(standing, Change(now=now, decision=decision, champion=changed), report)

    def _apply(
        self, standing: Standing, change: Change, report: Report, *, snapshot: str = "", ledger_seq: int | None = None
    ) -> Standing:
        after = self.store.apply(standing, change, actor=ACTOR, snapshot=snapshot, ledger_seq=ledger_seq)
        _tell(after, report)
        return after


def without_snapshot(standing: Standing, *, measured: datetime.datetime | None, now: datetime.datetime) -> Decision:
    """The metrics job failed: wait for `ttl_secs`, then hold, then back to the champion."""
    terms = standing.plan.terms
    if standing.state is State.HOLD:
        if now - standing.entered < datetime.timedelta(hours=terms.max_hold_hours):
            return _stay(standing, "metrics_failed", "no snapshot can be made")
        text = f"no snapshot, and held for {terms.max_hold_hours:g} h"
        return Decision(state=State.ROLLING_BACK, stage=standing.stage, code="held_too_long", reason=text, moves=True)
    known = max(filter(None, (measured, standing.entered)))
    if now - known < datetime.timedelta(seconds=terms.ttl_secs):
        return _stay(standing, "metrics_failed", "no snapshot can be made; trying again")
    text = f"no snapshot could be made since {known:%Y-%m-%d %H:%M} UTC"
    return Decision(
        state=State.HOLD, stage=standing.stage, held=standing.state, code="metrics_failed", reason=text, moves=True
    )


def _stay(standing: Standing, code: str, reason: str) -> Decision:
    return Decision(
        state=standing.state, stage=standing.stage, code=code, reason=reason, held=standing.held, moves=False
    )


def _tell(standing: Standing, report: Report) -> None:
    report.lines.append(f"{standing.id}: {standing.state} ({standing.reason})")
