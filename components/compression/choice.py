"""Which variant is served: the best of those whose loss the spec allows.

choice = choose(spec.compress, [full, *variants])
choice.name, choice.reasons["int8"]     # "int8", "chosen: saves 71.2 % of bytes"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.compression.measurement import Measurement
from components.compression.variants import FULL, is_litert
from components.evaluation.metrics import OVERALL
from pipelines.spec import Compress, Frozen
from pipelines.spec.compress import Gain, LossMetric

_ROUNDING = 1e-9


class Choice(Frozen):
    name: str
    reasons: Mapping[str, str]
    """Of each variant, why it is served or is not."""


def choose(compress: Compress, measured: Sequence[Measurement]) -> Choice:
    """Full precision is the first of `measured`. It stays unless a variant gains `compress.min_gain` over it."""
    full = measured[0]
    found = {variant.name: variant for variant in measured[1:]}
    reasons = {name: _why_not(compress, full, variant) for name, variant in found.items()}
    for name in reasons:
        # Where no LiteRT runs, it is the SavedModel of int8 that serves.
        if is_litert(name) and not reasons[name] and reasons.get("int8", "int8 was not measured"):
            reasons[name] = f"its SavedModel is that of int8: {reasons.get('int8', 'not measured')}"
    gains = {name: gain(compress.prefer, full, found[name]) for name, reason in reasons.items() if not reason}
    # Of equal gains the first in the spec's order: `max` keeps it.
    best = max(gains, key=lambda name: gains[name], default=FULL)
    if best != FULL and (gains[best] <= 0 or gains[best] < compress.min_gain):
        best = FULL
    for name, value in gains.items():
        reasons[name] = f"{'chosen' if name == best else 'not chosen'}: {_in_words(compress.prefer, value)}"
    kept = f"chosen: no variant within the loss gains {compress.min_gain:.0%} in {compress.prefer}"
    return Choice(name=best, reasons={FULL: kept if best == FULL else f"{best} is smaller or faster", **reasons})


def loss(metric: LossMetric, full: float, variant: float) -> float:
    """How much worse; negative when better."""
    if metric == "auc":
        return full - variant
    if metric == "calibration":
        return abs(variant - 1) - abs(full - 1)
    return variant - full


def gain(prefer: Gain, full: Measurement, variant: Measurement) -> float:
    """Share of full precision's value that is saved, or of its throughput that is added."""
    before, after = _value(prefer, full), _value(prefer, variant)
    if not before:
        return 0.0
    return after / before - 1 if prefer == "throughput" else 1 - after / before


def _value(prefer: Gain, measured: Measurement) -> float:
    speed = measured.speed
    match prefer:
        case "bytes":
            return float(measured.bytes)
        case "gzip_bytes":
            return float(measured.gzip_bytes)
        case "latency_p50":
            return speed.one.p50_ms if speed else 0.0
        case "latency_p99":
            return speed.one.p99_ms if speed else 0.0
        case "throughput":
            return speed.throughput if speed else 0.0


def _why_not(compress: Compress, full: Measurement, variant: Measurement) -> str:
    """Why it may not be served, or ""."""
    if variant.error:
        return f"broken: {variant.error}"
    if full.error:
        return f"nothing to compare with: full precision is broken: {full.error}"
    large = [name for name, rows in full.slice_rows.items() if name != OVERALL and rows >= compress.min_slice_rows]
    reasons = [_too_much(metric, limit, full, variant, OVERALL) for metric, limit in compress.max_loss.items()]
    for metric, limit in compress.max_slice_loss.items():
        defined = [name for name in large if metric in full.quality[name]]
        reasons += [_too_much(metric, limit, full, variant, name) for name in defined]
    return next(filter(None, reasons), "")


def _too_much(metric: LossMetric, limit: float, full: Measurement, variant: Measurement, name: str) -> str:
    values = [measured.quality.get(name, {}).get(metric) for measured in (full, variant)]
    before, after = values
    if before is None or after is None:
        return f"{metric} of {name} is not defined"
    lost = loss(metric, before, after)
    return f"loses {lost:.5f} of {metric} in {name}, more than {limit:g}" if lost > limit + _ROUNDING else ""


def _in_words(prefer: Gain, value: float) -> str:
    verbs = ("adds", "takes") if prefer == "throughput" else ("saves", "adds")
    return f"{verbs[value < 0]} {abs(value):.1%} of {prefer}"
