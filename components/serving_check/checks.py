"""The verdict on a trial: what the server answered, then each bound of `serving`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from components.decision.report import Check, GateReport, Verdict
from components.serving_check.trial import Trial
from pipelines.spec import Serving

GATE = "serving_check"
AGAIN = "profile the model, or raise the bound in pipeline.yaml; if the machine was busy, run the day with --skip-cache"


class _Bound(NamedTuple):
    name: str
    observed: float
    limit: float | None
    unit: str
    lower: bool = False
    interval: tuple[float, float] | None = None


def judge(trial: Trial, serving: Serving) -> GateReport:
    checks = [_ready(trial), _parity(trial, serving)]
    if not trial.refused_row:
        checks.append(_answers(trial))
    if trial.requests:
        checks += _bounds(trial, serving)
    report = GateReport.of(GATE, checks)
    refused = [check for check in checks if check.verdict is report.verdict]
    reason = "; ".join(check.reason for check in refused) if report.verdict is Verdict.REFUSED else _summary(trial)
    timed = report.verdict is Verdict.REFUSED and all(
        check.name not in ("parity", "failed requests") for check in refused
    )
    return report.model_copy(update={"reason": reason, "next_command": AGAIN if timed else ""})


def judge_failure(reason: str) -> GateReport:
    """The server never served."""
    check = Check(name="server", verdict=Verdict.REFUSED, bound="ready, and alive to the end", reason=reason)
    return GateReport.of(
        GATE, [check], next_command="python -m components.serving --model PATH --name NAME shows it again"
    )


def judge_nothing(reason: str) -> GateReport:
    """There was no row to ask with."""
    return GateReport.of(GATE, [Check(name="parity", verdict=Verdict.NOT_EVALUABLE, reason=reason)])


def _summary(trial: Trial) -> str:
    return (
        f"served predictions differ by at most {trial.difference:.2g}; p50 {trial.p50_ms:.2f} ms, p99 {trial.p99_ms:.2f} ms, "
        f"{trial.requests_per_sec:.0f} requests/s, {trial.cpu_us_per_request:.0f} us of CPU each"
    )


def _ready(trial: Trial) -> Check:
    reason = (
        f"a new server loaded it with tf.compat.v1.saved_model.load and was ready after {trial.cold_start_secs:.1f} s"
    )
    return Check(name="server", verdict=Verdict.ACCEPTED, bound="ready, and alive to the end", reason=reason)


def _parity(trial: Trial, serving: Serving) -> Check:
    text = f"<= {serving.max_difference:g}"
    if trial.refused_row:
        reason = f"the server does not take golden rows: {trial.refused_row}"
        return Check(name="parity", verdict=Verdict.REFUSED, bound=text, reason=reason)
    held = trial.difference <= serving.max_difference
    reason = (
        f"served predictions differ by at most {trial.difference:.2g} from those of the evaluation"
        if held
        else f"the served prediction of golden row {trial.differing_row} differs by {trial.difference:.3g} from that of "
        f"the evaluation, more than {serving.max_difference:g}"
    )
    verdict = Verdict.ACCEPTED if held else Verdict.REFUSED
    return Check(name="parity", verdict=verdict, observed=trial.difference, bound=text, reason=reason)


def _answers(trial: Trial) -> Check:
    held = trial.requests > 0 and not trial.failures
    reason = f"{trial.requests} requests were answered"
    if not held:
        reason = (
            f"{trial.failures} requests failed, {trial.requests} were answered; {trial.first_failure or 'none in time'}"
        )
    verdict = Verdict.ACCEPTED if held else Verdict.REFUSED
    return Check(name="failed requests", verdict=verdict, observed=trial.failures, bound="= 0", reason=reason)


def _bounds(trial: Trial, serving: Serving) -> Iterator[Check]:
    for bound in (
        _Bound("p50", trial.p50_ms, serving.max_p50_ms, "ms"),
        _Bound("p99", trial.p99_ms, serving.max_p99_ms, "ms", interval=trial.p99_range_ms),
        _Bound("throughput", trial.requests_per_sec, serving.min_requests_per_sec, "requests/s", lower=True),
        _Bound("cold start", trial.cold_start_secs, serving.max_cold_start_secs, "s"),
        _Bound("model size", trial.model_bytes / 1e6, serving.max_model_megabytes, "MB"),
        _Bound("memory", trial.memory_bytes / 1e6, serving.max_memory_megabytes, "MB"),
        _Bound("cost of 1000 predictions", trial.usd_per_1k, serving.max_usd_per_1k, "USD"),
    ):
        if bound.limit is not None:
            yield _check(bound, bound.limit)


def _check(bound: _Bound, limit: float) -> Check:
    held = bound.observed >= limit if bound.lower else bound.observed <= limit
    text = f"{'>=' if bound.lower else '<='} {limit:g} {bound.unit}"
    return Check(
        name=bound.name,
        verdict=Verdict.ACCEPTED if held else Verdict.REFUSED,
        observed=bound.observed,
        bound=text,
        interval=bound.interval,
        reason=f"{bound.name} {bound.observed:.4g} {bound.unit} {'fulfils' if held else 'breaks'} {text}",
    )
