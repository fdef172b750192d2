from __future__ import annotations

import math

import pytest

from components.inference.discoveries import adjust_p_values


def test_adjusted_as_benjamini_and_hochberg_did() -> None:
    """Their table of 1995, the first of fifteen p values that matter."""
    p_values = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1.0,
    ]
    assert sum(p <= 0.05 for p in adjust_p_values(p_values)) == 4


def test_order_is_kept_and_empty_slices_count_for_nothing() -> None:
    assert adjust_p_values([0.02, math.nan, 0.01]) == pytest.approx([0.02, math.nan, 0.02], nan_ok=True)
    assert adjust_p_values([]) == []
