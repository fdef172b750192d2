"""The verdict: promote only what certainly earns more than it cost."""

from __future__ import annotations

from components.decision.report import Check, GateReport, Verdict
from components.inference.net_benefit import net_benefit
from components.worth.benefit.kpi import Change
from components.worth.benefit.statement import Statement
from pipelines.spec import Worth

GATE = "worth"


def state(worth: Worth, *, made_usd: float, champion: str, change: Change) -> Statement:
    """`made_usd`: training and gates; `champion` names it, "" when there is none."""
    cost = made_usd + worth.extra_serving_usd_per_day * worth.days_until_next_model
    if not champion:
        return Statement(cost_usd=cost, reason="there is no champion to earn more than")
    if change.lift is None:
        return Statement(cost_usd=cost, kpi=worth.kpi or "", reason=change.reason)
    net = net_benefit(
        change.lift,
        requests_per_day=worth.requests_per_day,
        value_per_request_usd=worth.value_per_request_usd,
        days=worth.days_until_next_model,
        cost_usd=cost,
    )
    return Statement(cost_usd=cost, kpi=worth.kpi or "", lift=change.lift, net_usd=net)


def judge(statement: Statement) -> GateReport:
    """Accepted when the lower bound of the net benefit is above zero, refused when the upper one is not."""
    net, lift = statement.net_usd, statement.lift
    if net is None or lift is None:
        reason = f"not applicable, {statement.reason}; the model cost {statement.cost_usd:.4g} USD"
        return _report(Check(name="net benefit", verdict=Verdict.ACCEPTED, bound="> 0 USD", reason=reason))
    reason = (
        f"{statement.kpi} {lift.value:+.2%} [{lift.low:+.2%}, {lift.high:+.2%}] brings {net.value:.2f} USD "
        f"[{net.low:.2f}, {net.high:.2f}] after {statement.cost_usd:.4g} USD of cost"
    )
    verdict = Verdict.ACCEPTED if net.low > 0 else Verdict.REFUSED if net.high <= 0 else Verdict.INCONCLUSIVE
    return _report(
        Check(
            name="net benefit",
            verdict=verdict,
            observed=net.value,
            interval=(net.low, net.high),
            bound="> 0 USD",
            reason=reason,
        )
    )


_NEXT = {
    Verdict.REFUSED: "the champion stays; train less often (`worth.freshness`), or cheaper",
    Verdict.INCONCLUSIVE: "decide by an A/B test or by hand; more rows make the interval narrower",
}


def _report(check: Check) -> GateReport:
    return GateReport.of(GATE, [check], next_command=_NEXT.get(check.verdict, ""))
