from __future__ import annotations

import pickle

import pytest

from pipelines.errors import (
    DataError,
    DaybreakError,
    RefusedError,
    ResourceError,
    SpecError,
    TransientError,
    UserCodeError,
    bounded,
    retry_can_help,
)


@pytest.mark.parametrize("kind", [RefusedError, DataError, UserCodeError, TransientError, ResourceError, SpecError])
def test_exit_code_and_retryable_agree(kind: type[DaybreakError]) -> None:
    assert retry_can_help(kind.exit_code) is kind.retryable


@pytest.mark.parametrize(("exit_code", "helps"), [(0, False), (1, False), (137, True), (-9, True), (143, True)])
def test_a_killed_node_may_be_tried_again(exit_code: int, helps: bool) -> None:
    assert retry_can_help(exit_code) is helps


def test_message_has_place_and_fix_and_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(DataError("no rows. Received: rows=0", fix="load the day", place="shop")))
    assert str(error) == "shop: no rows. Received: rows=0\n  Fix: load the day"


def test_bounded_shows_five() -> None:
    assert bounded(range(7), report="all.txt") == "0, 1, 2, 3, 4 and 2 more (all in all.txt)"
    assert bounded(["a"], report="all.txt") == "a"
