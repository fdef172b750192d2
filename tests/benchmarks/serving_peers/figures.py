"""What the page says of the rounds: figures with their goals, throughput, and the same with one way to call the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from tests.benchmarks.report import Figure, Table
from tests.benchmarks.serving_peers.peers import Peer
from tests.benchmarks.serving_peers.servers import Round

GATEWAY, BARE, NO_ROLLOUT, SHADOW = "gateway", "bare", "gateway, no rollout", "gateway, shadow"
MLFLOW = "mlflow models serve"
CPU_US, ADDED_US, SHADOW_RATIO = 150.0, 500.0, 1.1
OF_MLFLOW, OF_OTHERS = 0.1, 0.25
Rounds = dict[tuple[str, int], list[Round]]


def figures_of(rounds: Rounds) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for clients in (16, 1):
        goals = _peers(rounds) if clients == 16 else ()
        said = "16 clients" if clients == 16 else "1 client"
        times = {name: OF_MLFLOW if name == MLFLOW else OF_OTHERS for name in goals}
        tails = dict.fromkeys((name for name in goals if name != MLFLOW), 1.0)
        figures[f"CPU a request, {said}"] = _figure(rounds, "cpu_us", clients, unit="us", goal=CPU_US)
        figures[f"time an answer (1 / throughput), {said}"] = _figure(rounds, "secs", clients, unit="us", goal=times)
        figures[f"p50, {said}"] = _figure(rounds, "p50_us", clients, unit="us")
        figures[f"p99, {said}"] = _figure(rounds, "p99_us", clients, unit="us", goal=tails)
        added = [
            ours.p50_us - bare.p50_us
            for ours, bare in zip(rounds[GATEWAY, clients], rounds[BARE, clients], strict=True)
        ]
        figures[f"the gateway adds to the bare server's p50, {said}"] = Figure("us", added, goal=ADDED_US)
        figures[f"p99 with a mirrored challenger, {said}"] = Figure(
            "us",
            _values(rounds, SHADOW, clients, "p99_us"),
            {"without": _values(rounds, NO_ROLLOUT, clients, "p99_us")},
            {"without": SHADOW_RATIO},
        )
    figures["memory after load"] = _figure(rounds, "memory_gib", 16, unit="GiB")
    return figures


def _figure(
    rounds: Rounds, field: str, clients: int, *, unit: str, goal: Mapping[str, float] | float | None = None
) -> Figure:
    peers = {name: _values(rounds, name, clients, field) for name in (BARE, *_peers(rounds))}
    return Figure(unit, _values(rounds, GATEWAY, clients, field), peers, goal or None)


def _values(rounds: Rounds, name: str, clients: int, field: str) -> list[float]:
    found = rounds[name, clients]
    return [1e6 / each.per_sec for each in found] if field == "secs" else [getattr(each, field) for each in found]


def _peers(rounds: Rounds) -> list[str]:
    ours = (GATEWAY, BARE, NO_ROLLOUT, SHADOW)
    return [name for name, clients in rounds if clients == 16 and name not in ours]


def tables_of(signature: Rounds, session: Rounds) -> list[Table]:
    return [
        _table("Medians of all servers", signature),
        _table("The same, the model called by every peer as Daybreak calls it", session),
    ]


def _table(title: str, rounds: Rounds) -> Table:
    columns = ("server", "clients", "requests/s", "the gateway is", "CPU us", "p50 us", "p99 us", "memory GiB")
    lines = []
    for (name, clients), found in sorted(rounds.items(), key=lambda item: (-item[0][1], item[0][0])):
        row = typical(found)
        times = median(each.per_sec for each in rounds[GATEWAY, clients]) / row.per_sec
        numbers = (f"{row.per_sec:,.0f}", f"{times:.1f}x", f"{row.cpu_us:,.0f}", f"{row.p50_us:,.0f}")
        lines.append((name, str(clients), *numbers, f"{row.p99_us:,.0f}", f"{row.memory_gib:.2f}"))
    return Table(title, columns, lines)


def typical(rounds: Sequence[Round]) -> Round:
    return Round(*map(median, zip(*rounds, strict=True)))


def notes_of(peers: Sequence[Peer], missing: Mapping[str, str], *, rounds: int, seconds: float) -> list[str]:
    return [
        "A click model of 14 raw columns, one row a request, predictions checked to be the same. Every server in its defaults, "
        f"all up at once, {rounds} rounds of {seconds:g} s in turns, one client process for all.",
        "The gateway validates, routes half of the units to a challenger, and writes the exposure log; the peers do none of it. "
        "The bare server is `components.serving`, without routing and log.",
        "Figures: the peers call the model's column signature as TensorFlow's guide does. In the second table they call it as "
        "Daybreak does (a function of the session), so that only the server differs.",
        "CPU: user and system of all processes of a server. p99: median of the windows of a round, then of rounds.",
        *(f"{peer.name}: {peer.how}." for peer in peers if peer.name not in missing),
        *(f"{name} is missing: {why}" for name, why in missing.items()),
    ]


def print_rounds(engine: str, rounds: Rounds) -> None:
    table = _table(f"peers call the {engine}", rounds)
    print(table.title)
    for line in (table.columns, *table.rows):
        print("  ".join(f"{cell:>20}" if number == 0 else f"{cell:>12}" for number, cell in enumerate(line)))
