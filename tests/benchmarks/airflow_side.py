"""Our side of a benchmark: services brought up for one run, the run triggered through Airflow, and its times.

with services(state, environ) as settings:
    wait_for_dag(settings, "taxi_chain")
    run = trigger(settings, "taxi_chain", day="2026-01-05")
    run.wall_secs, run.node_start_secs
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dags.runs import find_run
from dags.timing import node_starts
from pipelines.manifest import read_manifest
from pipelines.outcome import State, read_outcomes
from pipelines.settings import REPOSITORY, Settings
from pipelines.worker_client import ping

PATIENCE_SECS = 600.0


@dataclass(frozen=True)
class Run:
    wall_secs: float
    """From the trigger to the end of the last node."""
    node_start_secs: list[float]
    """Per node: from queued in Airflow to the node's own code."""
    node_secs: dict[str, float]


@contextlib.contextmanager
def services(state: Path, environ: Mapping[str, str]) -> Iterator[Settings]:
    """Everything of `daybreak up`, with ports of its own; stopped at the end, data kept."""
    own = {**environ, "DAYBREAK_STATE": str(state)}
    ports = ["--airflow-port", str(free_port()), "--mlflow-port", str(free_port())]
    try:
        _daybreak(["up", *ports], own)
        settings = Settings(home=REPOSITORY, state=state)
        worker = settings.services["worker"]["socket"]
        _wait(lambda: ping(worker) is not None, "the warm worker")
        yield settings
    finally:
        _daybreak(["down"], own)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _daybreak(arguments: list[str], environ: Mapping[str, str]) -> None:
    python = REPOSITORY / ".venvs" / "services" / "bin" / "python"
    command = [str(python), "-m", "pipelines.cli", *arguments]
    done = subprocess.run(command, env=environ, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(arguments)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def wait_for_dag(settings: Settings, pipeline: str) -> None:
    def unpaused() -> bool:
        try:
            _call(settings, "PATCH", f"/api/v2/dags/daybreak_{pipeline}", {"is_paused": False})
        except urllib.error.HTTPError:
            return False
        return True

    _wait(unpaused, f"the DAG of {pipeline}")


def trigger(settings: Settings, pipeline: str, *, day: str) -> Run:
    """Runs all nodes, whatever the cache holds. Raises `RuntimeError` when one does not complete."""
    run = f"bench__{time.time_ns()}"
    path = f"/api/v2/dags/daybreak_{pipeline}/dagRuns"
    body = {"dag_run_id": run, "logical_date": None, "conf": {"day": day, "skip_cache": True}}
    token = _token(settings)
    triggered = time.time()
    _call(settings, "POST", path, body, token=token)

    def ended() -> bool:
        found = _call(settings, "GET", f"{path}/{urllib.parse.quote(run, safe='')}", token=token)
        return found["state"] in ("success", "failed")

    _wait(ended, f"the run {run}", pause_secs=1.0)
    return _times(settings, pipeline, run, triggered)


def _times(settings: Settings, pipeline: str, run: str, triggered: float) -> Run:
    found = find_run(settings, pipeline, airflow_run_id=run)
    outcomes = read_outcomes(settings, pipeline, found[0]) if found else {}
    expected = {node.id for node in read_manifest(settings.manifests / f"{pipeline}.json").nodes}
    complete = {name for name, outcome in outcomes.items() if outcome.state is State.COMPLETE}
    if complete != expected:
        raise RuntimeError(f"not comparable: {sorted(expected - complete)} did not complete")
    queued = {start.node: start.queued for start in node_starts(settings, pipeline=pipeline, airflow_run_id=run)}
    return Run(
        wall_secs=max(outcome.ended for outcome in outcomes.values()) - triggered,
        # A resolver has no code of its own: its start is the node runner's.
        node_start_secs=[(o.work_started or o.started) - queued[name] for name, o in outcomes.items()],
        node_secs={name: outcome.seconds for name, outcome in outcomes.items()},
    )


def _token(settings: Settings) -> str:
    login = settings.services["airflow"]
    credentials = {"username": login["user"], "password": login["password"]}
    return str(_call(settings, "POST", "/auth/token", credentials, token="none")["access_token"])


def _call(
    settings: Settings, method: str, path: str, body: Mapping[str, Any] | None = None, *, token: str = ""
) -> dict[str, Any]:
    url = settings.services["airflow"]["url"] + path
    headers = {"Content-Type": "application/json"}
    if token != "none":
        headers["Authorization"] = f"Bearer {token or _token(settings)}"
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    # Loopback: a proxy of the environment must not see it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def _wait(condition: Any, what: str, *, pause_secs: float = 0.5) -> None:
    deadline = time.monotonic() + PATIENCE_SECS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"{what} was not there after {PATIENCE_SECS:g} s; logs: {os.environ.get('DAYBREAK_STATE')}"
            )
        time.sleep(pause_secs)
