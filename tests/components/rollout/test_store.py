from __future__ import annotations

import concurrent.futures

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from components.ledger.ledger import Ledger
from components.rollout.events import replay
from components.rollout.standing import State
from components.rollout.store import RolloutConflict, RolloutStore
from components.rollout.tables import rollout, rollout_event, split_projection
from tests.components.rollout.writing import NOON, after, begin, change, lead


def test_a_rollout_is_the_sum_of_its_events(store: RolloutStore, ledger: Ledger) -> None:
    standing = begin(store, ledger.model)
    path = (State.SHADOW, State.RAMP, State.HOLD, State.RAMP, State.PROMOTING, State.WATCH, State.PROMOTED)
    standing = lead(store, standing, *path)
    assert store.standing(standing.id) == standing
    events = store.events(standing.id)
    assert replay(events) == standing
    assert [event.seq for event in events] == list(range(1, 9))
    assert [event.to_state for event in events] == [State.GATED, *path]
    assert [event.from_state for event in events] == [None, State.GATED, *path[:-1]]
    assert (standing.started, standing.entered) == (after(2), after(7))
    assert len({event.plan for event in events}) == 1
    times = [event.time for event in events]
    assert times == sorted(set(times))


def test_who_knows_less_than_the_row_changes_nothing(store: RolloutStore, ledger: Ledger) -> None:
    old = begin(store, ledger.model)
    new = lead(store, old, State.SHADOW)
    with pytest.raises(RolloutConflict, match="event 2 of .* is there already"):
        store.apply(old, change(State.SUPERSEDED), actor="tick")
    assert store.standing(old.id) == new
    assert len(store.events(old.id)) == 2


def test_of_ticks_at_once_one_moves_the_row(store: RolloutStore, ledger: Ledger) -> None:
    standing = begin(store, ledger.model)

    def attempt(_: int) -> bool:
        try:
            lead(store, standing, State.SHADOW)
        except RolloutConflict:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1
    assert [event.seq for event in store.events(standing.id)] == [1, 2]


def test_a_newer_candidate_replaces_the_queued_one_only(store: RolloutStore, ledger: Ledger) -> None:
    active = lead(store, begin(store, ledger.model, "2"), State.SHADOW)
    second = begin(store, ledger.model, "3")
    third = begin(store, ledger.model, "4")
    assert store.active(ledger.model) == active
    assert store.queued(ledger.model) == third
    gone = store.standing(second.id)
    assert gone is not None and gone.state is State.SUPERSEDED
    assert store.events(second.id)[-1].reason == "version 4 came before anybody met version 3"
    assert [one.challenger for one in store.standings(ledger.model)] == ["2", "3", "4"]


def test_a_second_active_rollout_is_refused_by_the_database(store: RolloutStore, ledger: Ledger) -> None:
    lead(store, begin(store, ledger.model), State.SHADOW)
    second = begin(store, ledger.model, "3")
    with pytest.raises(RolloutConflict, match="another rollout of it became active"):
        lead(store, second, State.SHADOW)
    assert store.standing(second.id) == second


@pytest.mark.parametrize("statement", ["UPDATE {} SET reason = 'other'", "DELETE FROM {}", "TRUNCATE {}"])
def test_events_are_neither_changed_nor_deleted(store: RolloutStore, ledger: Ledger, statement: str) -> None:
    standing = begin(store, ledger.model)
    with pytest.raises(SQLAlchemyError, match="append-only"), store.engine.begin() as connection:
        connection.execute(text(statement.format("rollout_event")))
    assert len(store.events(standing.id)) == 1


def test_memory_is_no_event(store: RolloutStore, ledger: Ledger) -> None:
    standing = begin(store, ledger.model)
    store.remember(standing.id, measured=NOON, decided=change(State.GATED).decision.model_dump(mode="json"))
    memory = store.memory(standing.id)
    assert (memory.code, memory.measured, memory.ticked) == ("queued", NOON, None)
    assert memory.decided is not None and memory.decided.code == "told"
    assert store.standing(standing.id) == standing


def test_the_migration_makes_the_tables_that_the_code_knows(store: RolloutStore) -> None:
    query = text("SELECT column_name FROM information_schema.columns WHERE table_name = :name")
    with store.engine.connect() as connection:
        for table in (rollout, rollout_event, split_projection):
            assert set(connection.scalars(query, {"name": table.name})) == set(table.columns.keys())
