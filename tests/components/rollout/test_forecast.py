from __future__ import annotations

import pytest

from components.rollout.forecast import forecast_plan
from components.rollout.snapshot import Sums
from pipelines.errors import DataError
from pipelines.spec import Kpi
from pipelines.spec.rollout import Rollout as Terms
from tests.components.rollout.test_deciding import sums

TERMS = Terms(unit="user_id")


def clicks(margin: float, unit: str = "relative") -> Kpi:
    return Kpi.model_validate({"name": "clicks", "numerator": "clicked", "margin": margin, "margin_unit": unit})


def test_a_plan_that_works_has_no_warnings() -> None:
    found = forecast_plan(TERMS, clicks(0.02), sums(50_000), new_units_per_day=60_000)
    assert found.users_per_arm == pytest.approx(126_000, rel=0.01)
    assert found.least_margin == pytest.approx(0.0197, rel=0.01)
    assert found.days == pytest.approx(6.8, abs=0.2)
    assert not found.warnings
    assert forecast_plan(TERMS, clicks(0.0008, "absolute"), sums(50_000), new_units_per_day=60_000) == found


def test_a_plan_that_cannot_work_says_why() -> None:
    found = forecast_plan(TERMS, clicks(0.01), sums(50_000), new_units_per_day=6_000)
    assert found.users_per_arm == pytest.approx(503_000, rel=0.01)
    assert [warning.split()[0:2] for warning in found.warnings] == [["the", "margin"], ["the", "ramp"]]


@pytest.mark.parametrize("nothing", [Sums(), Sums(n=1, sx=1, sxx=1), Sums(n=9, sx=9, sxx=9)])
def test_nothing_to_plan_from_is_refused(nothing: Sums) -> None:
    with pytest.raises(DataError, match=r"Received: n="):
        forecast_plan(TERMS, clicks(0.02), nothing, new_units_per_day=1)
