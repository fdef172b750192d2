"""Rollouts in PostgreSQL: one row each, replaced by compare-and-swap, and the events that led there.

    store = RolloutStore.open(settings)
    standing = store.begin(model="shop", plan=plan, champion="3", challenger="4", actor="node register", reason="…", now=now)
    standing = store.apply(standing, Change.of(decision, now=now), actor="tick")   # RolloutConflict: somebody was faster
    store.active("shop"), store.queued("shop"), store.events(standing.id)

One active rollout and one queued per model: the database refuses a second one of either.
"""

from __future__ import annotations

import contextlib
import datetime
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.ledger.database import PATIENCE_SECS, open_database
from components.rollout.deciding import Decision
from components.rollout.events import Change, Event, advance, plan_digest
from components.rollout.standing import FINAL, QUEUED, Plan, Standing, State
from pipelines.errors import TransientError
from pipelines.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

ACTIVE = frozenset(State) - FINAL - QUEUED
SUPERSEDED = "superseded"
_UNIQUE_VIOLATION = "23505"


class RolloutConflict(TransientError):
    """Somebody else moved the rollout first; reading again shows where to."""


@dataclass(frozen=True)
class Memory:
    """What ticks remember of a rollout."""

    code: str
    """Of the event that led to its state."""
    measured: datetime.datetime | None
    ticked: datetime.datetime | None
    decided: Decision | None


@dataclass(frozen=True)
class RolloutStore:
    engine: Engine

    @classmethod
    def open(cls, settings: Settings, *, patience_secs: float = PATIENCE_SECS) -> RolloutStore:
        """Raises `TransientError` when the database does not answer, `SpecError` when there is none."""
        return cls(open_database(settings, patience_secs=patience_secs))

    def begin(
        self,
        *,
        model: str,
        plan: Plan,
        champion: str,
        challenger: str,
        actor: str,
        reason: str,
        now: datetime.datetime,
        code: str = "queued",
    ) -> Standing:
        """Queues a candidate that passed its gates, in the place of one that is queued already.

        Raises `RolloutConflict` when another candidate is queued at the same time.
        """
        from sqlalchemy import func, insert, select

        from components.rollout.tables import rollout as table

        with self._transaction(model) as connection:
            number = connection.scalar(select(func.coalesce(func.max(table.c.number), 0)).where(table.c.model == model))
            number = int(number or 0) + 1
            standing = Standing(
                id=f"{model}-{number}-{secrets.token_hex(3)}",
                model=model,
                plan=plan,
                champion=champion,
                challenger=challenger,
                state=State.GATED,
                entered=now,
                reason=reason,
                seq=1,
            )
            for old in _standings(connection, model, QUEUED):
                text = f"version {challenger} came before anybody met version {old.challenger}"
                gone = Decision(state=State.SUPERSEDED, stage=old.stage, code=SUPERSEDED, reason=text, moves=True)
                _replace(connection, old, Change.of(gone, now=now), actor=actor)
            content = standing.model_dump(mode="json")
            connection.execute(
                insert(table).values(
                    id=standing.id, model=model, number=number, code=code, tagged=0, **_columns(standing)
                )
            )
            _record(connection, standing, None, actor=actor, code=code, reason=reason, decision=content)
        return standing

    def apply(
        self, standing: Standing, change: Change, *, actor: str, snapshot: str = "", ledger_seq: int | None = None
    ) -> Standing:
        """Raises `RolloutConflict` when `standing` is no longer what the row says; nothing is written then."""
        with self._transaction(standing.model) as connection:
            return _replace(connection, standing, change, actor=actor, snapshot=snapshot, ledger_seq=ledger_seq)

    @contextlib.contextmanager
    def _transaction(self, model: str) -> Iterator[Connection]:
        from sqlalchemy.exc import IntegrityError

        try:
            with self.engine.begin() as connection:
                yield connection
        except IntegrityError as error:
            if getattr(error.orig, "pgcode", "") != _UNIQUE_VIOLATION:
                raise
            raise _conflict(model, "another rollout of it became active, or queued, at the same time") from error

    def standing(self, rollout: str) -> Standing | None:
        return next(iter(self._read(id=rollout)), None)

    def standings(self, model: str) -> list[Standing]:
        """All of a model, oldest first."""
        return self._read(model=model)

    def active(self, model: str) -> Standing | None:
        return next((one for one in self._read(model=model) if one.state in ACTIVE), None)

    def queued(self, model: str) -> Standing | None:
        return next((one for one in self._read(model=model) if one.state in QUEUED), None)

    def models(self) -> list[str]:
        from sqlalchemy import select

        from components.rollout.tables import rollout as table

        with self.engine.connect() as connection:
            return sorted(connection.scalars(select(table.c.model).distinct()))

    def _read(self, **where: str) -> list[Standing]:
        from sqlalchemy import select

        from components.rollout.tables import rollout as table

        query = select(table.c.standing).filter_by(**where).order_by(table.c.number)
        with self.engine.connect() as connection:
            return [Standing.model_validate(found) for found in connection.scalars(query)]

    def events(self, rollout: str) -> list[Event]:
        from sqlalchemy import select

        from components.rollout.tables import rollout_event as table

        query = select(table).where(table.c.rollout == rollout).order_by(table.c.seq)
        with self.engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return [Event.model_validate(row | {"time": row["time"].astimezone(datetime.UTC)}) for row in rows]

    def memory(self, rollout: str) -> Memory:
        from sqlalchemy import select

        from components.rollout.tables import rollout as table

        query = select(table.c.code, table.c.measured, table.c.ticked, table.c.decided).where(table.c.id == rollout)
        with self.engine.connect() as connection:
            row = connection.execute(query).mappings().one()
        decided = Decision.model_validate(row["decided"]) if row["decided"] else None
        return Memory(code=row["code"], measured=row["measured"], ticked=row["ticked"], decided=decided)

    def remember(self, rollout: str, **values: Any) -> None:
        """Columns that are no part of the truth: `measured`, `ticked`, `decided`, `tagged`."""
        from sqlalchemy import update

        from components.rollout.tables import rollout as table

        with self.engine.begin() as connection:
            connection.execute(update(table).where(table.c.id == rollout).values(**values))

    def untagged(self, model: str) -> list[Standing]:
        """Those with events that MLflow's tags do not show yet."""
        from sqlalchemy import select

        from components.rollout.tables import rollout as table

        query = select(table.c.standing).where(table.c.model == model, table.c.tagged < table.c.seq)
        with self.engine.connect() as connection:
            return [Standing.model_validate(found) for found in connection.scalars(query.order_by(table.c.number))]


def _standings(connection: Connection, model: str, states: frozenset[State]) -> list[Standing]:
    from sqlalchemy import select

    from components.rollout.tables import rollout as table

    query = select(table.c.standing).where(table.c.model == model, table.c.state.in_(sorted(states)))
    return [Standing.model_validate(found) for found in connection.scalars(query)]


def _replace(
    connection: Connection,
    standing: Standing,
    change: Change,
    *,
    actor: str,
    snapshot: str = "",
    ledger_seq: int | None = None,
) -> Standing:
    from sqlalchemy import update

    from components.rollout.tables import rollout as table

    after, decision = advance(standing, change), change.decision
    columns = _columns(after)
    if after.state is not standing.state:
        columns["code"] = decision.code
    swap = update(table).where(table.c.id == standing.id, table.c.seq == standing.seq).values(**columns)
    if connection.execute(swap).rowcount != 1:
        raise _conflict(standing.model, f"event {after.seq} of {standing.id} is there already")
    _record(
        connection,
        after,
        standing.state,
        actor=actor,
        code=decision.code,
        reason=decision.reason,
        decision=change.model_dump(mode="json"),
        snapshot=snapshot,
        ledger_seq=ledger_seq,
    )
    return after


def _record(connection: Connection, after: Standing, before: State | None, **values: Any) -> None:
    from sqlalchemy import insert

    from components.rollout.tables import rollout_event as table

    row = {
        "rollout": after.id,
        "seq": after.seq,
        "model": after.model,
        "time": datetime.datetime.now(datetime.UTC),  # the database replaces it by its own
        "from_state": before,
        "to_state": after.state,
        "plan": plan_digest(after.plan),
        "snapshot": "",
        "ledger_seq": None,
    }
    connection.execute(insert(table).values(row | values))


def _columns(standing: Standing) -> dict[str, Any]:
    return {"state": standing.state.value, "seq": standing.seq, "standing": standing.model_dump(mode="json")}


def _conflict(model: str, what: str) -> RolloutConflict:
    return RolloutConflict(
        f"the rollout of {model} moved meanwhile, nothing was written: {what}",
        fix=f"`daybreak rollout status {model}` says where it stands; then try again",
    )
