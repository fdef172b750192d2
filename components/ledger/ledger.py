"""The ledger of one model: reading all rows, appending the next ones, and the turn of whoever writes to MLflow.

    ledger = Ledger.open(settings, "shop")
    entries = ledger.entries()
    ledger.append(Draft(event=Event.PROMOTED, version="3", …), after=entries)

Appending is compare-and-swap: rows that came after the ones the writer knew refuse the new one.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.ledger.database import PATIENCE_SECS, open_database
from components.ledger.entries import Draft, Entry
from pipelines.errors import TransientError, bounded
from pipelines.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

TURN_SECS = 300
_UNIQUE_VIOLATION = "23505"


class LedgerConflict(TransientError):
    """Somebody else wrote first; reading again shows what."""


@dataclass(frozen=True)
class Projected:
    """What may stand in MLflow."""

    seq: int = 0
    """Rows up to this one were written completely."""
    aliases: dict[str, list[str | None]] | None = None
    """Versions that the ledger's own writing may have left at each alias; None: it never wrote."""


@dataclass(frozen=True)
class Ledger:
    engine: Engine
    model: str
    """The pipeline's name."""

    @classmethod
    def open(cls, settings: Settings, model: str, *, patience_secs: float = PATIENCE_SECS) -> Ledger:
        """Raises `TransientError` when the database does not answer, `SpecError` when there is none."""
        return cls(open_database(settings, patience_secs=patience_secs), model)

    def entries(self, *, at: datetime.datetime | None = None) -> tuple[Entry, ...]:
        """All rows, oldest first; those written until `at`."""
        from sqlalchemy import select

        from components.ledger.tables import promotion_ledger as table

        query = select(table).where(table.c.model == self.model).order_by(table.c.seq)
        if at is not None:
            query = query.where(table.c.time <= at)
        with self.engine.connect() as connection:
            return tuple(_entry(dict(row)) for row in connection.execute(query).mappings())

    def models(self) -> list[str]:
        """All that have rows."""
        from sqlalchemy import select

        from components.ledger.tables import promotion_ledger as table

        with self.engine.connect() as connection:
            return sorted(connection.scalars(select(table.c.model).distinct()))

    def append(self, *drafts: Draft, after: Sequence[Entry]) -> tuple[Entry, ...]:
        """Writes all rows or none, in one transaction; returns all rows, `after` included.

        Raises `LedgerConflict` when `after`, what the writer read, is no longer all there is.
        """
        from sqlalchemy import insert
        from sqlalchemy.exc import IntegrityError

        from components.ledger.tables import promotion_ledger as table

        last = after[-1].seq if after else 0
        moment = datetime.datetime.now(datetime.UTC)  # the database replaces it by its own
        rows = [
            {**draft.model_dump(), "model": self.model, "seq": last + number, "time": moment}
            for number, draft in enumerate(drafts, start=1)
        ]
        written: list[Entry] = []
        try:
            with self.engine.begin() as connection:
                for row in rows:
                    made = connection.execute(insert(table).values(row).returning(*table.c)).mappings().one()
                    written.append(_entry(dict(made)))
        except IntegrityError as error:
            if getattr(error.orig, "pgcode", "") != _UNIQUE_VIOLATION:
                raise
            raise self._conflict(last, drafts) from error
        return (*after, *written)

    def _conflict(self, last: int, drafts: Sequence[Draft]) -> LedgerConflict:
        new = [f"{e.event} {e.version or ''} by {e.actor}" for e in self.entries() if e.seq > last]
        asked = bounded(f"{draft.event} {draft.version or ''}".strip() for draft in drafts)
        return LedgerConflict(
            f"the ledger of {self.model} changed meanwhile, nothing was written: {bounded(new)}. Received: {asked}",
            fix="read `daybreak champion` again; a node is retried and meets the new champion",
        )

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """One writer to MLflow at a time, on whatever machine; the database frees it when its holder is killed."""
        from sqlalchemy import text
        from sqlalchemy.exc import OperationalError

        key = int.from_bytes(hashlib.sha256(f"projection of {self.model}".encode()).digest()[:8], signed=True)
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
            session.execute(text(f"SET lock_timeout = '{TURN_SECS}s'"))
            try:
                session.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
            except OperationalError as error:
                raise TransientError(
                    f"another process has been writing the aliases of {self.model} for {TURN_SECS} s",
                    fix="see what runs with `daybreak status`, then try again",
                ) from error
            yield

    def projected(self) -> Projected:
        from sqlalchemy import select

        from components.ledger.tables import alias_projection as table

        with self.engine.connect() as connection:
            row = connection.execute(select(table).where(table.c.model == self.model)).mappings().one_or_none()
        return Projected(row["seq"], row["aliases"]) if row else Projected()

    def remember(self, projected: Projected) -> None:
        from sqlalchemy.dialects.postgresql import insert

        from components.ledger.tables import alias_projection as table

        values = {"seq": projected.seq, "aliases": projected.aliases}
        statement = insert(table).values(model=self.model, **values)
        with self.engine.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=[table.c.model], set_=values))


def _entry(row: dict[str, Any]) -> Entry:
    return Entry.model_validate(row | {"time": row["time"].astimezone(datetime.UTC)})
