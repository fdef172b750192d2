"""A cache decision says what it compared and what differed."""

from __future__ import annotations

import json

import pytest

from pipelines.cache import Execution, explain_hit, explain_miss

BEFORE = Execution(
    id=17,
    run_id="shop-1",
    parameters={"train": json.dumps({"epochs": 1, "seed": 1}), "day": "2026-01-04", "stamp_code": "a 111\nb 222"},
    inputs={"examples": (3,)},
)


def changed(**changes: object) -> Execution:
    return Execution(id=18, parameters={**BEFORE.parameters, **changes}, inputs=BEFORE.inputs)


def test_hit_names_the_execution() -> None:
    assert explain_hit(BEFORE) == "hit because inputs, parameters and code equal execution 17 (shop-1)"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": json.dumps({"epochs": 2, "seed": 1})}, "parameter train.epochs changed 1 -> 2"),
        ({"day": "2026-01-05"}, "parameter day changed 2026-01-04 -> 2026-01-05"),
        ({"rows": 5}, "parameter rows was added: 5"),
        ({"stamp_code": "a 111\nb 999"}, "code of b changed"),
        ({"stamp_code": "a 111\nb 222\nc 3"}, "code of c changed"),
        ({"stamp_source": "x"}, "source changed"),
    ],
)
def test_miss_names_the_parameter(change: dict[str, object], words: str) -> None:
    reason = explain_miss(changed(**change), BEFORE)
    assert reason == f"missed because {words}, compared with execution 17 (shop-1)"


def test_miss_names_the_input() -> None:
    now = Execution(id=18, parameters=BEFORE.parameters, inputs={"examples": (9,), "schema": (4,)})
    reason = explain_miss(now, BEFORE)
    assert "input examples changed artifact 3 -> artifact 9" in reason
    assert "input schema changed none -> artifact 4" in reason


def test_properties_an_executor_added_are_not_changes() -> None:
    before = Execution(id=17, parameters={**BEFORE.parameters, "pushed_model": "x"}, inputs=BEFORE.inputs)
    assert "its artifacts are gone" in explain_miss(changed(), before)


def test_reasons_outside_the_key() -> None:
    assert explain_miss(BEFORE, None) == "missed because no earlier execution of this node succeeded"
    assert "asked to skip" in explain_miss(BEFORE, BEFORE, skipped=True)
    assert "caching is off" in explain_miss(BEFORE, BEFORE, caching=False)


def test_long_values_and_many_changes_are_bounded() -> None:
    now = changed(**{f"p{number}": "v" * 500 for number in range(9)})
    reason = explain_miss(now, BEFORE)
    assert "and 4 more" in reason
    assert len(reason) < 800
