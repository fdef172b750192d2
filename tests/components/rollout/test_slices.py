from __future__ import annotations

from components.rollout.slices import report_slices
from components.rollout.snapshot import KpiSums, Sums
from tests.components.rollout.test_deciding import CLICKS, snapshot, sums


def test_slices_are_adjusted_for_their_number() -> None:
    same = {f"country={place}": (sums(9000), sums(9000)) for place in range(8)}
    slices = same | {"country=x": (sums(9000), sums(9000, rate=0.037)), "country=y": (Sums(n=1), Sums())}
    seen = snapshot(25, kpis=(KpiSums(name="clicks", slices=slices),))
    rows = {row.slice: row for row in report_slices((CLICKS,), seen)}
    worse, empty = rows["country=x"], rows["country=y"]
    assert worse.value is not None and worse.high is not None and worse.p_adjusted is not None
    assert worse.value < worse.high < 0
    # 9 slices have a p value; alone this one has 0.0099.
    assert 0.05 < worse.p_adjusted < 0.12
    assert (empty.value, empty.p_adjusted, empty.units) == (None, None, 1)
    assert rows["country=0"].p_adjusted == 1
