from __future__ import annotations

import pytest

from components.inference.net_benefit import Estimate, gross_benefit, net_benefit


def test_the_net_benefit_is_the_formula_by_hand() -> None:
    found = net_benefit(
        Estimate(0.02, 0.005, 0.035), requests_per_day=1_000_000, value_per_request_usd=0.002, days=3, cost_usd=50
    )
    # 1e6 * 0.002 = 2000 a day, 6000 in three: 120, 30 and 210 less 50.
    assert found == pytest.approx((70, -20, 160))


def test_a_loss_keeps_its_sign() -> None:
    found = gross_benefit(Estimate(-0.01, -0.02, 0.0), requests_per_day=100, value_per_request_usd=1, days=2)
    assert found == pytest.approx((-2, -4, 0))
