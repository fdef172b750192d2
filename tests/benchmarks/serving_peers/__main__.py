"""The gateway beside other servers: one model, one client, closed loops, all servers up at once and measured in turns.

    python -m tests.benchmarks.serving_peers                            # what `make bench` runs; builds .venvs/bench-*
    python -m tests.benchmarks.serving_peers --peers none --rounds 3    # ours alone; writes nothing
    python -m tests.benchmarks.serving_peers --peers LitServe --environments DIR --folder DIR

A slow minute of the machine is everybody's. What does not install or start is reported with the reason.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.assignment.split import Experiment, Model, Split, write_split
from pipelines.settings import REPOSITORY
from tests.benchmarks.report import FOLDER, write_report
from tests.benchmarks.serving_peers.environments import build, version_of
from tests.benchmarks.serving_peers.figures import (
    BARE,
    GATEWAY,
    NO_ROLLOUT,
    SHADOW,
    Rounds,
    figures_of,
    notes_of,
    print_rounds,
    tables_of,
)
from tests.benchmarks.serving_peers.peers import PEERS, SIDES, Peer, Setup
from tests.benchmarks.serving_peers.servers import NotStarted, Server

CLIENTS = (1, 16)
ROWS = 300
PREDICT = "/v1/models/shop:predict"
EXPERIMENT = Experiment("shop-17", "7", 0.5)
OURS = {
    GATEWAY: EXPERIMENT,
    NO_ROLLOUT: None,
    SHADOW: Experiment("shop-17", "7", 0.5, shadow=True),
}
ENGINES = ("signature", "session")


def main() -> int:
    options = _options()
    versions: dict[str, str] = {name: importlib.metadata.version(name) for name in ("tensorflow", "uvicorn", "msgspec")}
    found: dict[str, Rounds] = {}
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="bench") as temporary:
        folder = options.folder or Path(temporary)
        rows = _made(folder)
        for engine in ENGINES if options.peers else ENGINES[:1]:
            found[engine] = _measure_all(folder / engine, folder / "model", rows, options, engine, versions, missing)
            print_rounds(engine, found[engine])
    for name, why in missing.items():
        print(f"{name} is missing: {why}")
    if set(options.peers) == set(PEERS):
        notes = notes_of(options.peers, missing, rounds=options.rounds, seconds=options.seconds)
        figures = figures_of(found["signature"])
        tables = tables_of(found["signature"], found["session"])
        command = "python -m tests.benchmarks.serving_peers"
        written = write_report(
            "serving", figures=figures, tables=tables, notes=notes, versions=versions, command=command,
            folder=options.output,
        )  # fmt: skip
        print(written)
    return 0


def _options() -> argparse.Namespace:
    known = {peer.name: peer for peer in PEERS}
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.serving_peers")
    parser.add_argument("--peers", nargs="*", choices=[*known, "none"], default=list(known))
    parser.add_argument("--environments", type=Path, default=REPOSITORY / ".venvs", help="where bench-<peer> are built")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3, help="of a round")
    parser.add_argument("--folder", type=Path, help="keeps what the servers say; default: a temporary one")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of serving.json")
    options = parser.parse_args()
    options.peers = [known[name] for name in options.peers if name != "none"]
    return options


def _made(folder: Path) -> list[dict[str, Any]]:
    # In a process of its own: what TensorFlow holds is not for this one.
    folder.mkdir(parents=True, exist_ok=True)
    code = (
        "import json; from pathlib import Path; from tests.benchmarks.click_model import make_rows, save_model\n"
        f"folder = Path({str(folder)!r}); save_model(folder / 'model')\n"
        f"(folder / 'rows.json').write_text(json.dumps(make_rows({ROWS})))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    rows: list[dict[str, Any]] = json.loads((folder / "rows.json").read_text())
    return rows


def _measure_all(
    folder: Path,
    model: Path,
    rows: Sequence[Mapping[str, Any]],
    options: argparse.Namespace,
    engine: str,
    versions: dict[str, str],
    missing: dict[str, str],
) -> Rounds:
    servers = _start_ours(folder, model, rows)
    try:
        for peer in options.peers:
            try:
                programs = build(peer, options.environments.absolute())
                versions[peer.distribution] = version_of(peer, programs)
                servers.append(_start_peer(peer, programs, folder, model, rows, engine))
            except subprocess.CalledProcessError as error:
                missing[peer.name] = str(error.stderr)[-400:]
        up = _ready(servers, missing)
        return _measure(up, rounds=options.rounds, seconds=options.seconds)
    finally:
        for server in servers:
            server.end()


def _ready(servers: Sequence[Server], missing: dict[str, str]) -> list[Server]:
    """Those that predict what the first one does."""
    truth, found = servers[0].wait_ready(), []
    for server in servers:
        try:
            if not math.isclose(server.wait_ready(), truth, rel_tol=1e-4):
                raise NotStarted("its prediction is another one")
            found.append(server)
        except NotStarted as error:
            if server.name in (BARE, *OURS):
                raise
            missing[server.name] = str(error)
    return found


def _measure(servers: Sequence[Server], *, rounds: int, seconds: float) -> Rounds:
    found: Rounds = {}
    for _ in range(rounds):
        for clients in CLIENTS:
            for server in servers:
                measured = server.measure(clients=clients, seconds=seconds)
                found.setdefault((server.name, clients), []).append(measured)
    return found


def _start_ours(folder: Path, model: Path, rows: Sequence[Mapping[str, Any]]) -> list[Server]:
    commands = {BARE: ["components.serving", "--model", str(model), "--name", "shop"]}
    models = (Model("6", str(model)), Model("7", str(model)))
    for name, experiment in OURS.items():
        own = _folder(folder, name)
        write_split(own / "split.json", Split("shop", 1, time.time(), 86_400.0, "user_id", "6", models, experiment))
        commands[name] = ["components.gateway", "--split", str(own / "split.json"), "--log", str(own / "log")]
    bodies = [{"instances": [row]} for row in rows]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    servers = []
    for name, command in commands.items():
        port, own = _free_port(), _folder(folder, name)
        whole = [sys.executable, "-m", *command, "--port", str(port), "--parent", str(os.getpid())]
        server = Server(name, whole, port=port, path=PREDICT, bodies=bodies, folder=own, environment=environment)
        servers.append(server)
    return servers


def _start_peer(
    peer: Peer, programs: Path, folder: Path, model: Path, rows: Sequence[Mapping[str, Any]], engine: str
) -> Server:
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "BENTOML_DO_NOT_TRACK": "true", "RAY_USAGE_STATS_ENABLED": "0"}
    # On a busy machine Ray gives up too early.
    quiet |= {"RAY_raylet_start_wait_time_s": "120"}
    found = {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(SIDES)}
    own = _folder(folder, peer.distribution)
    # Some keep files in the home folder.
    environment = os.environ | quiet | found | {"BENCH_MODEL": str(model), "BENCH_ENGINE": engine, "HOME": str(own)}
    setup = Setup(programs, own, _free_port(), environment)
    peer.prepare(setup)
    return Server(
        peer.name,
        peer.command(setup),
        port=setup.port,
        path=peer.path,
        bodies=[peer.body(row) for row in rows],
        folder=setup.folder,
        environment=environment,
    )


def _folder(parent: Path, name: str) -> Path:
    path = parent / name.replace(", ", "-").replace(" ", "-")
    path.mkdir(parents=True, exist_ok=True)
    return path


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
