"""The decision record for people: Markdown for MLflow's note and Airflow, plain text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from components.decision.record import DecisionRecord
from components.decision.report import Check, GateReport, Verdict
from pipelines.errors import EXAMPLES_SHOWN

_HEADLINES = {
    Verdict.ACCEPTED: "Accepted",
    Verdict.REFUSED: "Refused",
    Verdict.INCONCLUSIVE: "Inconclusive",
    Verdict.NOT_EVALUABLE: "Not evaluable",
}


def headline(record: DecisionRecord) -> str:
    """One sentence: the verdict, the gate that decided and why."""
    gate = f" by `{record.gate}`" if record.gate else ""
    return f"{_HEADLINES[record.verdict]}{gate}: {_one_line(record.reason)}"


def render_markdown(record: DecisionRecord) -> str:
    """The whole story of a retrain, verdict first."""
    return "\n".join(_markdown_lines(record)) + "\n"


def render_gate(report: GateReport) -> str:
    """One gate as Markdown, every check of it."""
    return "\n".join([*_gate_lines(report, all_checks=True), report.reason]) + "\n"


def _markdown_lines(record: DecisionRecord) -> Iterator[str]:
    simulated = " (simulated data)" if record.simulated else ""
    yield f"## {record.pipeline} {record.day}{simulated}"
    yield f"\n**{headline(record)}**\n"
    yield f"Next: `{record.next_command}`\n"
    if record.model:
        yield from _model_lines(record)
    if record.overridden:
        yield f"Forced past: {', '.join(record.overridden)}\n"
    for report in record.gates:
        yield from _gate_lines(report)
    yield "### Where the time went\n"
    yield "| node | state | seconds | cache |\n|---|---|---:|---|"
    for node in record.nodes:
        name = f"[{node.node}]({node.tracking_url})" if node.tracking_url else node.node
        yield f"| {name} | {node.state} | {node.seconds:.1f} | {_cell(node.cache)} |"
    yield f"\nIn all {record.seconds:.0f} s. Run `{record.run_id}`."


def _model_lines(record: DecisionRecord) -> Iterator[str]:
    model = record.model
    if model is None or model.version is None:
        yield f"No model version: {_one_line(model.reason) if model else ''}\n"
        return
    moved = f"; champion {model.champion_before or 'none'} -> {model.champion_after or 'none'}"
    version = f"[version {model.version}]({model.url})" if model.url else f"version {model.version}"
    yield f"Model `{model.name}` {version} ({', '.join(model.aliases) or 'no alias'}){moved}\n"


def _gate_lines(report: GateReport, *, all_checks: bool = False) -> Iterator[str]:
    yield f"### {report.gate}: {_HEADLINES[report.verdict].lower()}\n"
    yield "| check | slice | observed | bound | verdict |\n|---|---|---:|---|---|"
    shown = sorted(report.checks, key=lambda check: check.verdict is Verdict.ACCEPTED)
    limit = max(EXAMPLES_SHOWN * 2, sum(check.verdict is not Verdict.ACCEPTED for check in shown[: EXAMPLES_SHOWN * 4]))
    limit = len(shown) if all_checks else limit
    for check in shown[:limit]:
        mark = " (overridden)" if check.overridden else ""
        yield f"| {_cell(check.name)} | {_cell(check.slice)} | {_observed(check)} | {_cell(check.bound)} | {check.verdict}{mark} |"
    if len(shown) > limit:
        yield f"\n{len(shown) - limit} more checks are in the report.\n"
    yield ""


def render_text(record: DecisionRecord) -> str:
    """For a terminal: the verdict, refused checks, the time, the next command."""
    return "\n".join(_text_lines(record)) + "\n"


def _text_lines(record: DecisionRecord) -> Iterator[str]:
    yield f"{record.pipeline} {record.day}{' (simulated)' if record.simulated else ''}: {headline(record)}"
    if record.model and record.model.version:
        yield f"  model    {record.model.name} version {record.model.version} ({', '.join(record.model.aliases)})"
        yield f"  champion {record.model.champion_before or 'none'} -> {record.model.champion_after or 'none'}"
    for report in record.gates:
        accepted = sum(check.verdict is Verdict.ACCEPTED for check in report.checks)
        yield f"  gate     {report.gate}: {report.verdict}, {accepted} of {len(report.checks)} checks passed"
        for check in report.checks:
            if check.verdict is not Verdict.ACCEPTED:
                yield f"           {check.name} [{check.slice}] {_observed(check)}, bound {check.bound}: {check.reason}"
    slowest = sorted(record.nodes, key=lambda node: -node.seconds)[:EXAMPLES_SHOWN]
    yield "  time     " + ", ".join(f"{node.node} {node.seconds:.1f} s" for node in slowest)
    yield f"  next     {record.next_command}"


def _observed(check: Check) -> str:
    value = check.observed
    text = f"{value:.6g}" if isinstance(value, float) else _cell(str(value)) if value is not None else ""
    return f"{text} [{check.interval[0]:.6g}, {check.interval[1]:.6g}]" if check.interval else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|")[:200]
