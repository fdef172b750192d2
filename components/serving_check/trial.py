"""What one server process was seen to do with a candidate: the same answers as in training, and the time they took.

with ServerProcess(model, folder, start_timeout_secs=90) as server:
    trial = run_trial(server, golden, serving, model=path, folder=folder)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from components.serving_check.golden import Golden, Prediction, as_predictions
from components.serving_check.load import LAST_ANSWERS_SECS, Load
from components.serving_check.server_process import NAME, ServerFailedError, ServerProcess, child_environment
from pipelines.errors import TransientError
from pipelines.spec import Frozen, Serving

PREDICT = f"/v1/models/{NAME}:predict"
SINGLE_ROWS = 16
"""Golden rows that are asked for one by one too."""
WARMUP_SECS = 0.5
ANSWER_SECS = 30
MEASURES_FILE = "serving.json"


class Trial(Frozen):
    cold_start_secs: float
    model_bytes: int
    memory_bytes: int
    """Resident, after the load."""
    difference: float = 0.0
    """The largest between served and golden predictions."""
    differing_row: int = 0
    refused_row: str = ""
    """What the server said when it did not take the golden rows."""
    requests: int = 0
    failures: int = 0
    first_failure: str = ""
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    """The median of the windows of time, so that one hiccup of the machine is not the model's."""
    p99_range_ms: tuple[float, float] = (0.0, 0.0)
    requests_per_sec: float = 0.0
    cpu_us_per_request: float = 0.0
    usd_per_1k: float = 0.0
    how: str = ""
    served: tuple[Prediction, ...] = ()


def run_trial(server: ServerProcess, golden: Golden, serving: Serving, *, model: Path, folder: Path) -> Trial:
    """Raises `ServerFailedError` when the server ends, hangs or is never ready, `TransientError` when it cannot run here."""
    found: dict[str, Any] = {"cold_start_secs": server.wait_until_ready(), "model_bytes": _size(model)}
    found |= _compare(server, golden)
    if not found.get("refused_row"):
        found |= _load(server, golden, serving, folder)
    server.check_alive("under load")
    return Trial(memory_bytes=server.memory_bytes(), how=_how(serving), **found)


def _size(model: Path) -> int:
    return sum(path.stat().st_size for path in model.rglob("*") if path.is_file())


def _compare(server: ServerProcess, golden: Golden) -> dict[str, Any]:
    """All rows in one request, some alone: neither form nor batch may change an answer."""
    singles = list(range(0, len(golden.instances), max(1, len(golden.instances) // SINGLE_ROWS)))
    groups = [list(range(len(golden.instances))), *([index] for index in singles)]
    expected = np.array(golden.predictions)
    served, difference, differing = np.zeros_like(expected), 0.0, 0
    with httpx.Client(base_url=server.url, timeout=ANSWER_SECS, trust_env=False) as client:
        for group in groups:
            response = _post(client, server, [golden.instances[index] for index in group])
            if response.status_code != 200:
                return {"refused_row": f"status {response.status_code}: {response.text[:300]}"}
            served[group] = np.array(response.json()["predictions"]).reshape(len(group), *expected.shape[1:])
            differences = np.abs(served[group] - expected[group]).reshape(len(group), -1).max(axis=1)
            if (found := float(differences.max())) > difference:
                difference, differing = found, group[int(differences.argmax())]
    return {"difference": difference, "differing_row": differing, "served": as_predictions(served)}


def _post(client: httpx.Client, server: ServerProcess, instances: Sequence[Mapping[str, Any]]) -> httpx.Response:
    try:
        return client.post(PREDICT, json={"instances": instances})
    except httpx.TransportError as error:
        server.check_alive("when it was asked for golden rows")
        raise ServerFailedError(
            f"the server did not answer golden rows: {type(error).__name__}: {error}{server.log_end()}"
        ) from error


def _load(server: ServerProcess, golden: Golden, serving: Serving, folder: Path) -> dict[str, Any]:
    bodies = folder / "bodies.json"
    bodies.write_text(json.dumps([json.dumps({"instances": [row]}) for row in golden.instances]))
    before = server.cpu_secs()
    load = _run_clients(server, bodies, serving)
    server.check_alive("under load")
    cpu_secs = (server.cpu_secs() - before) / max(1, load.all_requests)
    p99 = sorted(load.p99_ms) or [0.0]
    return {
        "requests": load.requests,
        "failures": load.failures,
        "first_failure": load.first_failure,
        "p50_ms": load.p50_ms,
        "p99_ms": float(np.median(p99)),
        "p99_range_ms": (p99[0], p99[-1]),
        "requests_per_sec": load.requests / load.seconds,
        "cpu_us_per_request": cpu_secs * 1e6,
        "usd_per_1k": cpu_secs * 1000 / 3600 * serving.cpu_core_hour_usd,
    }


def _run_clients(server: ServerProcess, bodies: Path, serving: Serving) -> Load:
    command = [
        *(sys.executable, "-m", "components.serving_check.load", "--port", server.url.rsplit(":", 1)[1]),
        *("--path", PREDICT, "--bodies", str(bodies), "--clients", str(serving.clients)),
        *("--seconds", str(serving.load_secs), "--warmup", str(WARMUP_SECS), "--parent", str(os.getpid())),
    ]
    limit = serving.load_secs + WARMUP_SECS + LAST_ANSWERS_SECS + ANSWER_SECS
    try:
        done = subprocess.run(
            command, env=child_environment(), capture_output=True, timeout=limit, check=True, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise ServerFailedError(f"the clients had no end of answers within {limit:g} s{server.log_end()}") from error
    except subprocess.CalledProcessError as error:
        raise TransientError(
            f"the load clients failed: {error.stderr.decode(errors='replace')[-500:]}", fix="run the node again"
        ) from error
    content = json.loads(done.stdout)
    return Load(**content | {"p99_ms": tuple(content["p99_ms"])})


def _how(serving: Serving) -> str:
    return (
        f"{serving.clients} clients in a closed loop from another process of this machine, single rows, "
        f"{serving.load_secs:g} s after {WARMUP_SECS:g} s of warm-up, {os.cpu_count()} cores; p99 is the median of three "
        "windows; CPU is user and system of the whole server process"
    )
