from __future__ import annotations

import concurrent.futures
import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from components.ledger.entries import Draft, Event
from components.ledger.ledger import Ledger, LedgerConflict, Projected
from tests.components.ledger.writing import JANUARY, accepted, draft


def test_rows_are_numbered_timed_and_read_back(ledger: Ledger) -> None:
    written = ledger.append(*accepted("1", 5), after=())
    written = ledger.append(*accepted("2", 6), after=written)
    assert ledger.entries() == written
    assert [entry.seq for entry in written] == [1, 2, 3, 4]
    times = [entry.time for entry in written]
    assert times == sorted(set(times))
    assert abs(times[-1] - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=5)
    assert ledger.entries(at=times[1]) == written[:2]
    assert written[-1].day == JANUARY.replace(day=6)
    assert ledger.model in ledger.models()


@pytest.mark.parametrize("statement", ["UPDATE {} SET reason = 'other'", "DELETE FROM {}", "TRUNCATE {}"])
def test_rows_are_neither_changed_nor_deleted(ledger: Ledger, statement: str) -> None:
    written = ledger.append(*accepted("1", 5), after=())
    with pytest.raises(SQLAlchemyError, match="append-only"), ledger.engine.begin() as connection:
        connection.execute(text(statement.format("promotion_ledger")))
    assert ledger.entries() == written


def test_a_writer_who_knows_less_is_told_what_came_before(ledger: Ledger) -> None:
    first = ledger.append(*accepted("1", 5), after=())
    ledger.append(draft(Event.ROLLED_BACK, "1", 6), after=first)
    for known in ((), first):
        with pytest.raises(LedgerConflict, match="changed meanwhile, nothing was written.*rolled_back 1 by ann"):
            ledger.append(*accepted("2", 6), after=known)
    assert len(ledger.entries()) == 3, "of two rows, neither was written"


def test_numbers_have_no_gaps(ledger: Ledger) -> None:
    written = ledger.append(*accepted("1", 5), after=())
    with pytest.raises(LedgerConflict):
        ledger.append(draft(Event.PROMOTED, "2", 6), after=[written[-1].model_copy(update={"seq": 7})])


def test_of_promotions_at_once_one_wins(ledger: Ledger) -> None:
    start = ledger.append(*accepted("1", 5), after=())

    def attempt(version: int) -> bool:
        try:
            ledger.append(draft(Event.PROMOTED, str(version), 6), after=start)
        except LedgerConflict:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(2, 10))) == 1
    assert [entry.seq for entry in ledger.entries()] == [1, 2, 3]


@pytest.mark.parametrize("wrong", [{"actor": ""}, {"version": None}, {"day": None}])
def test_a_row_without_who_or_what_is_refused(ledger: Ledger, wrong: dict[str, None]) -> None:
    bad = Draft.model_validate(draft(Event.PROMOTED, "1", 5).model_dump() | wrong)
    with pytest.raises(SQLAlchemyError):
        ledger.append(bad, after=())


def test_turns_are_taken_and_freed(ledger: Ledger) -> None:
    inside: list[int] = []

    def work(number: int) -> None:
        with ledger.turn():
            inside.append(number)
            assert len(inside) == 1
            ledger.entries()
            inside.remove(number)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(12)))


def test_what_was_projected_is_remembered(ledger: Ledger) -> None:
    assert ledger.projected() == Projected()
    for seq in (1, 2):
        wanted = Projected(seq, {"champion": [None, str(seq)]})
        ledger.remember(wanted)
        assert ledger.projected() == wanted
