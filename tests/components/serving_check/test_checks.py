from __future__ import annotations

from typing import Any

import pytest

from components.decision.report import Verdict
from components.serving_check.checks import judge
from components.serving_check.trial import Trial
from pipelines.spec import Serving

GOOD: dict[str, Any] = {
    "cold_start_secs": 5.0,
    "model_bytes": 2_000_000,
    "memory_bytes": 600_000_000,
    "difference": 1e-7,
    "requests": 1000,
    "p50_ms": 1.0,
    "p99_ms": 4.0,
    "p99_range_ms": (3.0, 9.0),
    "requests_per_sec": 333.0,
    "cpu_us_per_request": 200.0,
    "usd_per_1k": 0.000002,
}
BOUNDS: dict[str, Any] = {
    "max_p50_ms": 2,
    "max_p99_ms": 5,
    "min_requests_per_sec": 300,
    "max_cold_start_secs": 10,
    "max_model_megabytes": 3,
    "max_memory_megabytes": 700,
    "max_usd_per_1k": 0.00001,
}


def test_all_bounds_hold() -> None:
    report = judge(Trial(**GOOD), Serving(**BOUNDS))
    assert report.verdict is Verdict.ACCEPTED
    assert len(report.checks) == 3 + len(BOUNDS)
    assert "p99 4.00 ms" in report.reason


@pytest.mark.parametrize(
    ("changed", "value", "name"),
    [
        ("p50_ms", 2.1, "p50"),
        ("p99_ms", 5.1, "p99"),
        ("requests_per_sec", 299.0, "throughput"),
        ("cold_start_secs", 11.0, "cold start"),
        ("model_bytes", 3_000_001, "model size"),
        ("memory_bytes", 700_000_001, "memory"),
        ("usd_per_1k", 0.00002, "cost of 1000 predictions"),
        ("difference", 1.1e-5, "parity"),
        ("failures", 1, "failed requests"),
        ("refused_row", "status 400: no", "parity"),
    ],
)
def test_each_bound_refuses_by_itself(changed: str, value: Any, name: str) -> None:
    report = judge(Trial(**GOOD | {changed: value}), Serving(**BOUNDS))
    assert report.verdict is Verdict.REFUSED
    assert [check.name for check in report.checks if check.verdict is Verdict.REFUSED] == [name]


def test_what_was_not_measured_holds_no_bound() -> None:
    report = judge(Trial(**GOOD | {"requests": 0, "p99_ms": 0.0}), Serving(**BOUNDS))
    assert report.verdict is Verdict.REFUSED
    assert {check.name for check in report.checks} == {"server", "parity", "failed requests"}


def test_the_range_of_the_windows_is_the_interval() -> None:
    [p99] = [check for check in judge(Trial(**GOOD), Serving(**BOUNDS)).checks if check.name == "p99"]
    assert p99.interval == (3.0, 9.0)
