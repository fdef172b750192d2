"""The decision record for people: Markdown for MLflow's note and Airflow, plain text for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from components.decision.record import DecisionRecord
from components.decision.report import Check, GateReport, Verdict
from pipelines.errors import EXAMPLES_SHOWN, bounded

_HEADLINES = {
    Verdict.ACCEPTED: "Accepted",
    Verdict.REFUSED: "Refused",
    Verdict.INCONCLUSIVE: "Inconclusive",
    Verdict.NOT_EVALUABLE: "Not evaluable",
}

_NAME_WIDTH = 44


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
    if record.model:
        yield from (f"Noticed: {_one_line(text)}\n" for text in record.model.noticed)
    for user, reason, checks in _overrides(record):
        yield f"Forced past {checks} by {_cell(user)}: {_cell(reason)}\n"
    for report in record.gates:
        yield from _gate_lines(report)
    for gate in record.gates_not_run:
        yield f"### {gate.gate}: not run\n\n{_one_line(gate.reason)}\n"
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
    yield "| check | slice | observed | interval | bound | verdict | reason |\n|---|---|---:|---|---|---|---|"
    shown = sorted(report.checks, key=lambda check: check.verdict is Verdict.ACCEPTED)
    limit = max(EXAMPLES_SHOWN * 2, sum(check.verdict is not Verdict.ACCEPTED for check in shown[: EXAMPLES_SHOWN * 4]))
    limit = len(shown) if all_checks else limit
    for check in shown[:limit]:
        mark = " (overridden)" if check.overridden else ""
        cells = (
            check.name,
            check.slice,
            _observed(check),
            _interval(check),
            check.bound,
            check.verdict + mark,
            _why(check),
        )
        yield "| " + " | ".join(_cell(text) for text in cells) + " |"
    if len(shown) > limit:
        yield f"\n{len(shown) - limit} more checks are in the report.\n"
    yield ""


def render_text(record: DecisionRecord) -> str:
    """For a terminal: the verdict, every gate check by check, the time, the next command."""
    return "\n".join(_text_lines(record)) + "\n"


def _text_lines(record: DecisionRecord) -> Iterator[str]:
    yield f"{record.pipeline} {record.day}{' (simulated)' if record.simulated else ''}: {headline(record)}"
    if record.model and record.model.version:
        yield f"  model    {record.model.name} version {record.model.version} ({', '.join(record.model.aliases)})"
        yield f"  champion {record.model.champion_before or 'none'} -> {record.model.champion_after or 'none'}"
        yield from (f"  noticed  {text}" for text in record.model.noticed)
    for user, reason, checks in _overrides(record):
        yield f"  forced   past {checks} by {user}: {reason}"
    for report in record.gates:
        yield from _gate_text(report)
    for gate in record.gates_not_run:
        yield f"  gate     {gate.gate}: not run, {_one_line(gate.reason)}"
    slowest = sorted(record.nodes, key=lambda node: -node.seconds)[:EXAMPLES_SHOWN]
    yield "  time     " + ", ".join(f"{node.node} {node.seconds:.1f} s" for node in slowest)
    yield f"  next     {record.next_command}"


def _gate_text(report: GateReport) -> Iterator[str]:
    """A gate and its checks, one line each; a reason where there is something to say."""
    accepted = sum(check.verdict is Verdict.ACCEPTED for check in report.checks)
    yield f"  gate     {report.gate}: {report.verdict}, {accepted} of {len(report.checks)} checks passed"
    names = [f"{check.name} [{check.slice}]" for check in report.checks]
    width = min(max(map(len, names), default=0), _NAME_WIDTH)
    for name, check in zip(names, report.checks, strict=True):
        values = ", ".join(
            filter(None, (_observed(check), _interval(check), f"bound {check.bound}" * bool(check.bound)))
        )
        mark = " (overridden)" if check.overridden else ""
        why = _why(check) if check.verdict is not Verdict.ACCEPTED else ""
        yield f"           {check.verdict}{mark:13} {name:{width}}  {values}" + (f": {why}" if why else "")
    if report.next_command:
        yield f"           next: {_one_line(report.next_command)}"


def _overrides(record: DecisionRecord) -> Iterator[tuple[str, str, str]]:
    """(user, reason, checks)."""
    for user, reason in dict.fromkeys((o.user, o.reason) for o in record.overridden):
        checks = [f"{o.gate}: {o.check}" for o in record.overridden if (o.user, o.reason) == (user, reason)]
        yield user, reason, bounded(dict.fromkeys(checks))


def _observed(check: Check) -> str:
    value = check.observed
    return f"{value:.6g}" if isinstance(value, float) else _one_line(str(value))[:200] if value is not None else ""


def _interval(check: Check) -> str:
    return f"[{check.interval[0]:.6g}, {check.interval[1]:.6g}]" if check.interval else ""


def _why(check: Check) -> str:
    return _one_line(check.reason) + (f" ({check.reason_code})" if check.reason_code else "")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|")[:200]
