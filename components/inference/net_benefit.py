"""Whether a model earns more than it costs.

    benefit = net_benefit(lift, requests_per_day=1e6, value_per_request_usd=0.002, days=1, cost_usd=3.0)
    benefit.low > 0         # promote

ENB = requests/day * value/request * relative lift * days until the next model - cost. The cost was measured; what is
uncertain is the lift, and the rest is linear in it, so the ends of its interval are those of the net benefit.
"""

from __future__ import annotations

from typing import NamedTuple


class Estimate(NamedTuple):
    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> Estimate:
        """`factor` is not negative."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    def less(self, amount: float) -> Estimate:
        return Estimate(self.value - amount, self.low - amount, self.high - amount)


def gross_benefit(lift: Estimate, *, requests_per_day: float, value_per_request_usd: float, days: float) -> Estimate:
    """USD; `lift` is relative: 0.01 is one percent more value."""
    return lift.scaled(requests_per_day * value_per_request_usd * days)


def net_benefit(
    lift: Estimate, *, requests_per_day: float, value_per_request_usd: float, days: float, cost_usd: float
) -> Estimate:
    """USD."""
    gross = gross_benefit(
        lift, requests_per_day=requests_per_day, value_per_request_usd=value_per_request_usd, days=days
    )
    return gross.less(cost_usd)
