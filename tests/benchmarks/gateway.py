"""What the gateway adds to the bare server: CPU a request, p50 and p99, with and without a mirrored challenger.

    python -m tests.benchmarks.gateway                          # prints a table and ratios
    python -m tests.benchmarks.gateway --model PATH --rows rows.json --rounds 5 --seconds 4

One model, one client process (bare sockets), all servers up at once and measured in turns, so that a slow minute of the
machine is everybody's. CPU: user and system of the server's process and of the children that it waited for.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import httpx
import psutil

from components.assignment.split import Experiment, Model, Split, write_split

PREDICT = "/v1/models/shop:predict"
CLIENTS = (1, 16)


class Round(NamedTuple):
    cpu_us: float
    p50_ms: float
    p99_ms: float
    per_sec: float


class Server:
    def __init__(self, name: str, folder: Path, command: Sequence[str]) -> None:
        self.name, port_file = name, folder / f"{name}.port"
        whole = [
            sys.executable,
            "-m",
            *command,
            "--port",
            "0",
            "--port-file",
            str(port_file),
            "--parent",
            str(os.getpid()),
        ]
        self._process = subprocess.Popen(whole, stderr=(folder / f"{name}.txt").open("wb"))
        while not port_file.exists():
            time.sleep(0.05)
        self.port = int(port_file.read_text())
        while httpx.get(f"http://127.0.0.1:{self.port}/v2/health/ready").status_code != 200:
            time.sleep(0.1)

    def cpu_secs(self) -> float:
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    def measure(self, bodies: Path, *, clients: int, seconds: float) -> Round:
        command = [sys.executable, "-m", "components.serving_check.load", "--port", str(self.port), "--path", PREDICT]
        command += ["--bodies", str(bodies), "--clients", str(clients), "--seconds", str(seconds), "--warmup", "0.3"]
        before = self.cpu_secs()
        load = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        assert not load["failures"], load["first_failure"]
        cpu_us = (self.cpu_secs() - before) / load["all_requests"] * 1e6
        return Round(cpu_us, load["p50_ms"], median(load["p99_ms"]), load["requests"] / load["seconds"])

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gateway")
    parser.add_argument("--model", type=Path, help="a SavedModel; default: one of the shop's shape")
    parser.add_argument("--rows", type=Path, help="a JSON list of its rows, each with a user_id")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        model, rows = options.model or _made(folder / "model"), _rows(options.rows)
        (folder / "bodies.json").write_text(json.dumps([json.dumps({"instances": [row]}) for row in rows]))
        servers = _start(folder, model)
        try:
            found = _measure(servers, folder / "bodies.json", rounds=options.rounds, seconds=options.seconds)
        finally:
            for server in servers:
                server.end()
    _print(found)
    return 0


def _made(path: Path) -> Path:
    # In a process of its own: what TensorFlow holds is not for this one.
    code = f"from pathlib import Path; from tests.benchmarks.click_model import save_model; save_model(Path({str(path)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return path


def _rows(path: Path | None) -> list[dict[str, Any]]:
    if path:
        rows: list[dict[str, Any]] = json.loads(path.read_text())
        return rows
    code = "import json; from tests.benchmarks.click_model import make_rows; print(json.dumps(make_rows(300)))"
    made: list[dict[str, Any]] = json.loads(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    )
    return made


def _start(folder: Path, model: Path) -> list[Server]:
    servers = [Server("bare", folder, ["components.serving", "--model", str(model), "--name", "shop"])]
    for name, experiment in (
        ("champion", None),
        ("experiment", Experiment("shop-17", "7", 0.5)),
        ("shadow", Experiment("shop-17", "7", 0.5, shadow=True)),
    ):
        models = (Model("6", str(model)), Model("7", str(model)))
        split = Split("shop", 1, time.time(), 86_400.0, "user_id", "6", models, experiment)
        write_split(folder / f"{name}.json", split)
        command = ["components.gateway", "--split", str(folder / f"{name}.json"), "--log", str(folder / f"{name}-log")]
        servers.append(Server(name, folder, command))
    return servers


def _measure(
    servers: Sequence[Server], bodies: Path, *, rounds: int, seconds: float
) -> dict[tuple[str, int], list[Round]]:
    found: dict[tuple[str, int], list[Round]] = {}
    for _ in range(rounds):
        for clients in CLIENTS:
            for server in servers:
                measured = server.measure(bodies, clients=clients, seconds=seconds)
                found.setdefault((server.name, clients), []).append(measured)
    return found


def _print(found: dict[tuple[str, int], list[Round]]) -> None:
    typical = {key: Round(*map(median, zip(*rounds, strict=True))) for key, rounds in found.items()}
    print(f"{'server':12} clients  CPU us  p50 ms  p99 ms  requests/s")
    for (name, clients), row in typical.items():
        print(f"{name:12} {clients:7} {row.cpu_us:7.0f} {row.p50_ms:7.3f} {row.p99_ms:7.3f} {row.per_sec:11.0f}")
    for clients in CLIENTS:
        added = typical["experiment", clients].p50_ms - typical["bare", clients].p50_ms
        shadow = typical["shadow", clients].p99_ms / typical["champion", clients].p99_ms
        cpu = typical["experiment", clients].cpu_us / typical["bare", clients].cpu_us
        print(
            f"{clients} clients: router adds {added:.3f} ms p50, {cpu:.2f} times the CPU; shadow {shadow:.2f} times the p99"
        )


if __name__ == "__main__":
    sys.exit(main())
