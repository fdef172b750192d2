from __future__ import annotations

from typing import Any

import pytest

from components.compression.choice import choose
from components.compression.measurement import Latency, Measurement, Speed
from components.compression.readable import pareto_front
from tests.components.compression.conftest import compress


def measured(name: str, *, auc: float | None = 0.8, size: int = 1000, ms: float = 1.0, **others: Any) -> Measurement:
    latency = Latency(p50_ms=ms, p99_ms=2 * ms)
    return Measurement.model_validate(
        {
            "name": name,
            "rows": 1000,
            "quality": {"overall": {} if auc is None else {"auc": auc}},
            "slice_rows": {"overall": 1000},
            "bytes": size,
            "gzip_bytes": size,
            "speed": Speed(one=latency, many=latency, throughput=1000 / ms),
            **others,
        }
    )


FULL = measured("float32")


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [("bytes", "int8"), ("latency_p50", "float16"), ("latency_p99", "float16"), ("throughput", "float16")],
)
def test_the_preferred_gain_decides(prefer: str, expected: str) -> None:
    variants = [measured("float16", size=500, ms=0.5), measured("int8", size=250, ms=2.0)]
    assert choose(compress(variants=["float16", "int8"], prefer=prefer), [FULL, *variants]).name == expected


def test_a_loss_above_the_bound_is_not_bought() -> None:
    rule = compress(variants=["float16", "int8"], max_loss={"auc": 0.001})
    choice = choose(rule, [FULL, measured("float16", size=900, auc=0.799), measured("int8", size=100, auc=0.7989)])
    assert choice.name == "float16"
    assert choice.reasons["int8"] == "loses 0.00110 of auc in overall, more than 0.001"


def test_full_precision_wins_a_tie_and_what_is_nearly_one() -> None:
    assert choose(compress(), [FULL, measured("int8")]).name == "float32"
    assert choose(compress(min_gain=0), [FULL, measured("int8")]).name == "float32"
    assert choose(compress(min_gain=0.1), [FULL, measured("int8", size=901)]).name == "float32"
    assert choose(compress(min_gain=0.1), [FULL, measured("int8", size=899)]).name == "int8"


def test_of_equal_variants_the_first_in_the_spec_is_served() -> None:
    rule = compress(variants=["float16", "int8"])
    assert choose(rule, [FULL, measured("float16", size=500), measured("int8", size=500)]).name == "float16"


def test_a_broken_or_unmeasured_variant_is_never_chosen() -> None:
    broken = measured("int8", size=1, error="3 predictions are not finite")
    choice = choose(compress(), [FULL, broken])
    assert choice.name == "float32"
    assert choice.reasons["int8"] == "broken: 3 predictions are not finite"
    undefined = choose(compress(), [FULL, measured("int8", size=1, auc=None)])
    assert undefined.reasons["int8"] == "auc of overall is not defined"
    assert choose(compress(), [FULL.model_copy(update={"error": "x"}), measured("int8", size=1)]).name == "float32"


def test_a_large_slice_that_loses_too_much_is_named() -> None:
    rows = {"overall": 1000, "city=Rome": 600, "city=Oslo": 400}

    def with_slices(name: str, rome: float, oslo: float) -> Measurement:
        quality = {"overall": {"auc": 0.8}, "city=Rome": {"auc": rome}, "city=Oslo": {"auc": oslo}}
        return measured(name, size=1000 if name == "float32" else 100, quality=quality, slice_rows=rows)

    rule = compress(max_slice_loss={"auc": 0.02}, min_slice_rows=500)
    full = with_slices("float32", 0.8, 0.8)
    assert choose(rule, [full, with_slices("int8", 0.79, 0.5)]).name == "int8"
    assert "in city=Rome, more than 0.02" in choose(rule, [full, with_slices("int8", 0.77, 0.8)]).reasons["int8"]


def test_calibration_may_be_missed_on_either_side() -> None:
    def calibrated(name: str, value: float) -> Measurement:
        size = 1000 if name == "float32" else 100
        return measured(name, size=size, quality={"overall": {"calibration": value}})

    rule = compress(max_loss={"calibration": 0.01})
    assert choose(rule, [calibrated("float32", 1.02), calibrated("int8", 0.98)]).name == "int8"
    assert choose(rule, [calibrated("float32", 1.02), calibrated("int8", 0.96)]).name == "float32"


def test_a_litert_variant_needs_the_saved_model_in_it_to_hold() -> None:
    rule = compress(variants=["int8", "litert_int8"], max_loss={"auc": 0.001}, prefer="latency_p50")
    fast = measured("litert_int8", ms=0.1)
    assert choose(rule, [FULL, measured("int8", ms=2.0), fast]).name == "litert_int8"
    choice = choose(rule, [FULL, measured("int8", auc=0.7), fast])
    assert choice.name == "float32"
    assert choice.reasons["litert_int8"].startswith("its SavedModel is that of int8: loses 0.1")


def test_the_pareto_front_leaves_out_what_is_beaten() -> None:
    assert pareto_front([(1, 5), (2, 5), (2, 3), (3, 4), (4, 1), (4, 1)]) == [(1, 5), (2, 3), (4, 1)]
