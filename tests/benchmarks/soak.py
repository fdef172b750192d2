"""The gateway for a long time under a steady rate, with rotation, hot swaps, outcomes and a mirrored challenger: does it grow?

    python -m tests.benchmarks.soak --minutes 60 --rate 500             # prints; exit code 1 when it grows or fails
    python -m tests.benchmarks.soak --minutes 10 --output docs/benchmarks/soak.json

Of ten requests six are predictions, three are lists of ten candidates, one is outcomes. Memory is the gateway's own pages.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvloop
from scipy.stats import theilslopes

from components.assignment.split import Experiment, Model, PolicyTerms, Split, write_split
from components.serving_check.load import Client, request_bytes
from pipelines.manifest import write_atomically

CONNECTIONS = 8
SAMPLES = 240
SETTLING = 1 / 2
"""Share of the time before caches and the allocator are full: the first fifteen swaps add 30 MiB, those after them none."""
TOLERANCE = 0.03
"""Growth over the measured time that is none, as a share of the memory."""
POLICY = PolicyTerms("soak", "item_id", "position", 0.5, 0.05)


@dataclass
class Soak:
    seconds: float
    rate: float
    answers: Counter[str] = field(default_factory=Counter)
    """By status."""
    samples: list[tuple[float, float]] = field(default_factory=list)
    """Seconds, MiB."""
    latencies_ms: list[float] = field(default_factory=list)
    """Of every hundredth, from when it was due."""
    swaps: int = 0
    log: dict[str, int] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        low, growth = growth_of(self.samples)
        ordered = sorted(self.latencies_ms)
        return {
            "seconds": self.seconds,
            "asked_per_sec": self.rate,
            "answered_per_sec": round(self.answers["200"] / self.seconds, 1),
            "answers": dict(self.answers),
            "swaps": self.swaps,
            "log": self.log,
            "p50_ms": round(ordered[len(ordered) // 2], 2),
            "p99_ms": round(ordered[len(ordered) * 99 // 100], 2),
            "memory_mib": [round(value, 1) for _, value in self.samples[:: max(1, len(self.samples) // 12)]],
            "growth": round(growth, 4),
            "growth_at_least": round(low, 4),
            "passed": low <= TOLERANCE and set(self.answers) == {"200"} and not self.log["lost"],
        }


def growth_of(samples: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Growth over the time after settling, as a share of the memory: the low end of its 95 % interval, and the estimate.

    The median of all slopes between two samples (Sen 1968, https://doi.org/10.1080/01621459.1968.10480934), so that one
    swap, which holds two models for a moment, is no growth.
    """
    settled = samples[int(len(samples) * SETTLING) :]
    seconds, sizes = zip(*settled, strict=True)
    slope, _, low, _ = theilslopes(sizes, seconds, 0.95)
    scale = (seconds[-1] - seconds[0]) / sizes[0]
    return float(low * scale), float(slope * scale)


def run(folder: Path, *, seconds: float, rate: float, swap_secs: float, rotate_secs: float) -> Soak:
    rows = _made(folder)
    splits = _splits(folder)
    process, port = _start(folder, splits, rotate_secs)
    try:
        soak = Soak(seconds, rate)
        uvloop.run(_load(soak, port, rows, psutil.Process(process.pid), splits, swap_secs))
        soak.log = httpx.get(f"http://127.0.0.1:{port}/rollout").json()["log"]
        return soak
    finally:
        process.terminate()
        process.wait()


def _made(folder: Path) -> list[dict[str, Any]]:
    # In a process of its own: what TensorFlow holds is not for this one.
    code = (
        "import json; from pathlib import Path; from tests.benchmarks.click_model import make_rows, save_model\n"
        f"folder = Path({str(folder)!r}); save_model(folder / 'model')\n"
        "(folder / 'rows.json').write_text(json.dumps(make_rows(300)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    rows: list[dict[str, Any]] = json.loads((folder / "rows.json").read_text())
    return rows


def _splits(folder: Path) -> Iterator[Split]:
    """Writes the next one: another challenger, by turns mirrored and on half of the units."""
    uri = str(folder / "model")
    for number in count(1):
        models = (Model("1", uri), Model(str(number + 1), uri))
        experiment = Experiment("soak", str(number + 1), 0.5, shadow=number % 2 == 1)
        split = Split("shop", number, time.time(), 86_400.0, "user_id", "1", models, experiment, policy=POLICY)
        write_split(folder / "split.json", split)
        yield split


def _start(folder: Path, splits: Iterator[Split], rotate_secs: float) -> tuple[subprocess.Popen[bytes], int]:
    next(splits)
    port_file = folder / "port.txt"
    command = [sys.executable, "-m", "components.gateway", "--split", str(folder / "split.json")]
    command += ["--log", str(folder / "log"), "--rotate-secs", str(rotate_secs), "--port", "0"]
    command += ["--port-file", str(port_file), "--parent", str(os.getpid())]
    process = subprocess.Popen(command, stderr=(folder / "gateway.txt").open("wb"))
    while not port_file.exists() or httpx.get(_ready(port_file)).status_code != 200:
        assert process.poll() is None, (folder / "gateway.txt").read_text()
        time.sleep(0.1)
    return process, int(port_file.read_text())


def _ready(port_file: Path) -> str:
    return f"http://127.0.0.1:{int(port_file.read_text())}/v2/health/ready"


async def _load(
    soak: Soak, port: int, rows: Sequence[Any], gateway: psutil.Process, splits: Iterator[Split], swap_secs: float
) -> None:
    started = time.perf_counter()
    requests = _requests(rows)
    clients = [_client(soak, port, requests, number, started) for number in range(CONNECTIONS)]
    beside = [asyncio.create_task(work) for work in (_sample(soak, gateway, started), _swap(soak, splits, swap_secs))]
    await asyncio.gather(*clients)
    for task in beside:
        task.cancel()


def _requests(rows: Sequence[Any]) -> list[bytes]:
    found = []
    for number, row in enumerate(rows):
        if number % 10 < 6:
            path, body = "/v1/models/shop:predict", {"instances": [row]}
        elif number % 10 < 9:
            body = {"context": {"user_id": row["user_id"]}, "candidates": [_candidate(row, item) for item in range(10)]}
            path = "/v1/models/shop:decide"
        else:
            outcome = {"outcome_id": f"o{number}", "decision_id": f"d{number}", "name": "clicked", "value": 1}
            path, body = "/v1/outcomes", {"outcomes": [outcome]}
        found.append(request_bytes(path, json.dumps(body).encode()))
    return found


def _candidate(row: dict[str, Any], item: int) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("user_id", "position")} | {"item_id": f"i{item}"}


async def _client(soak: Soak, port: int, requests: Sequence[bytes], number: int, started: float) -> None:
    """Requests are due at fixed times, whether or not the last one is answered: a slow answer makes the next late."""
    _, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
    for turn in range(number, int(soak.seconds * soak.rate), CONNECTIONS):
        due = started + turn / soak.rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        status = await client.send(requests[turn % len(requests)])
        soak.answers[str(status)] += 1
        if turn % 100 < CONNECTIONS:
            soak.latencies_ms.append((time.perf_counter() - due) * 1000)
    client.close()


async def _sample(soak: Soak, gateway: psutil.Process, started: float) -> None:
    while True:
        soak.samples.append((time.perf_counter() - started, gateway.memory_full_info().uss / 2**20))
        await asyncio.sleep(soak.seconds / SAMPLES)


async def _swap(soak: Soak, splits: Iterator[Split], swap_secs: float) -> None:
    while True:
        await asyncio.sleep(swap_secs)
        next(splits)
        soak.swaps += 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=500, help="requests per second")
    parser.add_argument("--swap-secs", type=float, default=20)
    parser.add_argument("--rotate-secs", type=float, default=30)
    parser.add_argument("--output", type=Path, help="JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak") as folder:
        found = run(
            Path(folder),
            seconds=options.minutes * 60,
            rate=options.rate,
            swap_secs=options.swap_secs,
            rotate_secs=options.rotate_secs,
        ).summary()
    text = json.dumps(found, indent=1)
    print(text)
    if options.output:
        write_atomically(options.output, text.encode() + b"\n")
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
