"""The verdict from sums: what is refused, accepted, left open, and what may not be asked."""

from __future__ import annotations

import numpy as np
import pytest

from components.business.judging import judge
from components.decision.report import GateReport, Verdict
from components.inference.off_policy import Logged, row_values
from components.inference.units import UnitSums, sum_by_unit
from pipelines.spec import Kpi

ROWS = 40_000
KPI = Kpi(name="value", numerator="x", margin=0.05)


def sums(effect: float, *, rows: int = ROWS, floor: bool = True, scale: float = 1.0) -> UnitSums:
    """Two items, shown evenly; one earns `1 + effect` times the other, and the candidate shows it in 75 %."""
    random = np.random.default_rng(3)
    shown = random.random(rows) < 0.5
    reward = scale * random.exponential(size=rows) * np.where(shown, 1 + effect, 1.0)
    even, new = np.full(rows, 0.5), np.where(shown, 0.75, 0.25)
    unsupported = np.zeros(rows) if floor else 1 - new
    logged = Logged(reward, even, new, even, unsupported=unsupported)
    return sum_by_unit(np.arange(rows, dtype=np.uint64) // np.uint64(4), row_values(logged))


def judged(found: UnitSums, kpi: Kpi = KPI, *, champion: str = "champion version 3", **more: object) -> GateReport:
    return judge([kpi], {kpi.name: found}, rows=ROWS, lost=0, champion=champion, **more)


@pytest.mark.parametrize(
    ("effect", "verdict"),
    [(1.0, Verdict.ACCEPTED), (0.0, Verdict.ACCEPTED), (-0.4, Verdict.REFUSED), (-0.19, Verdict.INCONCLUSIVE)],
)
def test_the_interval_decides_against_the_margin(effect: float, verdict: Verdict) -> None:
    report = judged(sums(effect))
    assert report.verdict is verdict, report.reason
    [check] = [check for check in report.checks if check.name == "value change"]
    assert check.interval is not None and check.interval[0] < check.observed < check.interval[1]
    assert check.bound == "> -5.00%" and "champion version 3" in report.reason
    assert bool(report.next_command) == (verdict is not Verdict.ACCEPTED)


def test_where_less_is_better_a_rise_is_a_loss() -> None:
    kpi = KPI.model_copy(update={"direction": "lower_is_better"})
    assert judged(sums(1.0), kpi).verdict is Verdict.REFUSED
    assert judged(sums(-0.4), kpi).verdict is Verdict.ACCEPTED


def test_an_absolute_margin_is_in_units_of_the_kpi() -> None:
    """The candidate loses 0.2 / 4 x the scale."""
    for scale, verdict in ((0.1, Verdict.ACCEPTED), (10.0, Verdict.REFUSED)):
        kpi = KPI.model_copy(update={"margin_unit": "absolute"})
        assert judged(sums(-0.3, scale=scale), kpi).verdict is verdict


def test_a_guardrail_refuses_what_is_certain_and_asks_for_no_proof() -> None:
    guardrail = KPI.model_copy(update={"guardrail": True})
    assert judged(sums(-0.19), guardrail).verdict is Verdict.ACCEPTED
    assert judged(sums(-0.4), guardrail).verdict is Verdict.REFUSED


def test_without_exploration_there_is_no_number() -> None:
    report = judged(sums(-0.4, floor=False))
    assert report.verdict is Verdict.NOT_EVALUABLE
    [check] = [check for check in report.checks if check.name == "value change"]
    assert check.observed is None and check.interval is None
    assert "unsupported mass 0." in check.reason
    assert "explore more" in report.next_command


def test_the_champion_must_be_supported_by_the_log_too() -> None:
    """It did not write this log: what it would have shown, the log could not have."""
    random = np.random.default_rng(3)
    even, reward = np.full(ROWS, 0.5), random.exponential(size=ROWS)
    logged = Logged(reward, even, even, even, unsupported=np.zeros(ROWS), unsupported_reference=np.full(ROWS, 0.5))
    report = judged(sum_by_unit(np.arange(ROWS, dtype=np.uint64), row_values(logged)))
    assert report.verdict is Verdict.NOT_EVALUABLE
    [broken] = [
        check for check in report.checks if "(champion)" in check.name and check.verdict is not Verdict.ACCEPTED
    ]
    assert broken.name == "unsupported mass (champion)" and "champion version 3" in broken.reason


def test_too_few_rows_are_no_number() -> None:
    assert judged(sums(-0.4, rows=800)).verdict is Verdict.NOT_EVALUABLE


def test_no_champion_is_no_reason_to_refuse_and_an_unusable_one_none_to_accept() -> None:
    report = judged(sums(-0.4), champion="")
    assert (report.verdict, report.reason) == (Verdict.ACCEPTED, "there is no champion to earn less than")
    report = judged(sums(1.0), unusable="KeyError: price")
    assert report.verdict is Verdict.NOT_EVALUABLE and "KeyError: price" in report.reason


def test_rows_that_disagree_with_the_log_leave_nothing_to_ask() -> None:
    for lost, verdict in ((ROWS // 200, Verdict.ACCEPTED), (ROWS // 50, Verdict.NOT_EVALUABLE)):
        found = judge([KPI], {"value": sums(1.0)}, rows=ROWS, lost=lost, champion="champion")
        assert found.verdict is verdict


def test_a_kpi_that_is_not_complete_yet_is_told() -> None:
    late = KPI.model_copy(update={"name": "late", "attribution_days": 7})
    report = judge([KPI, late], {"value": sums(1.0)}, rows=ROWS, lost=0, champion="champion")
    assert report.verdict is Verdict.NOT_EVALUABLE
    assert "complete 7 days after" in report.reason


def test_no_reward_at_all_is_told() -> None:
    report = judged(sums(0.0, scale=0.0))
    assert report.verdict is Verdict.NOT_EVALUABLE and "zero in all rows" in report.reason
