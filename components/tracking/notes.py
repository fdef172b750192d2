"""Notes in Markdown, shown at the top of a run's page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipelines.outcome import Outcome, State

SIMULATED = "> Simulated: data and traffic of this pipeline come from a simulator.\n\n"
_SYMBOLS = {State.COMPLETE: "✅", State.CACHED: "♻️", State.REFUSED: "❌", State.FAILED: "💥"}


def node_note(outcome: Outcome) -> str:
    """One node: how it ended, why it ran or did not, and the error with its fix."""
    lines = [f"{_SYMBOLS[outcome.state]} **{outcome.node}** {outcome.state.value} in {duration(outcome.seconds)}"]
    if outcome.cache:
        lines.append(f"Cache: {outcome.cache}")
    if outcome.error:
        lines.append(f"```\n{outcome.error[:4000]}\n```")
    return "\n\n".join(lines)


def progress_note(outcomes: Mapping[str, Outcome], *, nodes: Sequence[str], simulated: bool) -> str:
    """The parent while the day is running; the conclusion replaces it."""
    ended = [node for node in nodes if node in outcomes]
    head = f"**Running:** {len(ended)} of {len(nodes)} nodes have ended.\n\n"
    return (SIMULATED if simulated else "") + head + nodes_table(outcomes, nodes=nodes)


def nodes_table(outcomes: Mapping[str, Outcome], *, nodes: Sequence[str]) -> str:
    """Where the time went, in the order of the day."""
    rows = [_node_row(node, outcomes.get(node)) for node in nodes]
    return markdown_table(("", "node", "state", "wall", "CPU", "peak memory", "cache"), rows)


def _node_row(node: str, outcome: Outcome | None) -> tuple[str, ...]:
    if outcome is None:
        return ("", node, "not run", "", "", "", "")
    memory = f"{outcome.peak_memory_bytes / 1e6:,.0f} MB" if outcome.peak_memory_bytes else ""
    cpu = duration(outcome.cpu_secs) if outcome.cpu_secs else ""
    cache = outcome.cache if len(outcome.cache) <= 120 else outcome.cache[:119] + "…"
    return (_SYMBOLS[outcome.state], node, outcome.state.value, duration(outcome.seconds), cpu, memory, cache)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A GitHub-flavoured table; cells are kept on one line."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def duration(seconds: float) -> str:
    """`7.4 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
