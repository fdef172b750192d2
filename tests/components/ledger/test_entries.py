from __future__ import annotations

import datetime

from components.ledger.entries import Entry, Event, champion, standing, versions
from tests.components.ledger.writing import JANUARY, accepted, draft, entries


def meets(rows: list[Entry], day: int) -> str | None:
    found = champion(rows, before=JANUARY.replace(day=day))
    return found.version if found else None


def test_each_day_meets_the_champion_of_the_day_before() -> None:
    rows = entries(*accepted("1", 5), *accepted("2", 6), *accepted("3", 7))
    assert [meets(rows, day) for day in (5, 6, 7, 8)] == [None, "1", "2", "3"]
    assert standing(rows).aliases == {"champion": "3", "challenger": "3", "previous": "2"}


def test_a_day_backfilled_late_counts_for_the_days_after_it_and_dethrones_nobody() -> None:
    rows = entries(*accepted("1", 5), *accepted("2", 9), *accepted("3", 7))
    assert [meets(rows, day) for day in (7, 8, 9, 10)] == ["1", "3", "1", "2"]
    assert standing(rows).champion == "2"
    assert standing(rows).previous == "1"


def test_a_day_that_was_answered_meets_for_ever_what_was_known_then() -> None:
    known = [*accepted("1", 5), *accepted("2", 6), draft(Event.DECIDED, None, 7, verdict="refused")]
    rolled_back = entries(*known, draft(Event.ROLLED_BACK, "1", 6, before="2"), *accepted("3", 8), *accepted("4", 5))
    assert meets(rolled_back, 7) == meets(entries(*known), 7) == "2"
    assert meets(rolled_back, 8) == "1", "day 8 was answered after the rollback"


def test_a_run_without_an_answer_binds_no_later_one() -> None:
    rows = entries(*accepted("1", 5), draft(Event.DECIDED, None, 7, verdict="not_evaluable"), *accepted("2", 6))
    assert meets(rows, 7) == "2"


def test_rolling_back_twice_goes_further_back_and_not_forward_again() -> None:
    rows = [*accepted("1", 5), *accepted("2", 6), *accepted("3", 7)]
    once = standing(entries(*rows, draft(Event.ROLLED_BACK, "2", 7, before="3")))
    assert (once.champion, once.previous) == ("2", "1")
    twice = standing(
        entries(*rows, draft(Event.ROLLED_BACK, "2", 7, before="3"), draft(Event.ROLLED_BACK, "1", 7, before="2"))
    )
    assert (twice.champion, twice.previous) == ("1", None)


def test_after_a_rollback_the_next_day_meets_the_version_rolled_back_to() -> None:
    known = [*accepted("1", 5), *accepted("2", 6), draft(Event.ROLLED_BACK, "1", 6, before="2")]
    assert meets(entries(*known), 7) == "1"
    assert meets(entries(*known, *accepted("3", 7)), 8) == "3"


def test_a_challenger_is_of_the_newest_day() -> None:
    rows = entries(*accepted("1", 5), draft(Event.REGISTERED, "2", 6), draft(Event.REGISTERED, "3", 4))
    assert standing(rows).aliases == {"champion": "1", "challenger": "2", "previous": None}
    assert versions(rows, Event.REGISTERED) == ["1", "2", "3"]


def test_nothing_stands_in_an_empty_ledger() -> None:
    assert champion([]) is None
    assert champion([], before=datetime.date(2026, 1, 5)) is None
    assert set(standing([]).aliases.values()) == {None}
