"""Stands where `python -m pipelines.node` stands: a real process that does what `<state>/script.json` says.

    {"train": {"exit": 75, "error": "…", "seconds": 2, "times": 1}}

`times` limits the behaviour to the first tries; after them the node ends well. Every start is written to
`<state>/started.jsonl` with its arguments and environment.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from typing import Any

from pipelines.outcome import Outcome, State, write_outcome
from pipelines.settings import Settings

STATES = {0: State.COMPLETE, 10: State.REFUSED}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb")
    for option in ("--manifest", "--run-id", "--day", "--node", "--reason"):
        parser.add_argument(option, default="")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--skip-cache", action="store_true")
    arguments = parser.parse_args(sys.argv[3:])  # after `-m pipelines.node`
    settings = Settings.from_environment()
    node = arguments.node or arguments.verb
    earlier = _write_start(settings, node)
    return _behave(settings, arguments, _behaviour(settings, node, earlier))


def _write_start(settings: Settings, node: str) -> int:
    path = settings.state / "started.jsonl"
    earlier = sum(json.loads(line)["node"] == node for line in path.read_text().splitlines()) if path.exists() else 0
    with path.open("a") as file:
        entry = {"node": node, "argv": sys.argv[3:], "environ": dict(os.environ), "pid": os.getpid()}
        file.write(json.dumps({**entry, "time": time.time()}) + "\n")
    return earlier


def _behaviour(settings: Settings, node: str, earlier: int) -> dict[str, Any]:
    path = settings.state / "script.json"
    script: dict[str, Any] = json.loads(path.read_text()).get(node, {}) if path.exists() else {}
    return script if earlier < script.get("times", 1000) else {}


def _behave(settings: Settings, arguments: argparse.Namespace, behaviour: dict[str, Any]) -> int:
    started = time.time()
    if behaviour.get("ignores_term"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(f"hello from {arguments.verb} {arguments.node}", flush=True)
    time.sleep(behaviour.get("seconds", 0))
    code = int(behaviour.get("exit", 0))
    print("goodbye", file=sys.stderr, flush=True)
    if behaviour.get("outcome", True) and arguments.node:
        outcome = Outcome(
            pipeline=arguments.run_id.split("-")[0],
            run_id=arguments.run_id,
            node=arguments.node,
            day=arguments.day,
            state=STATES.get(code, State.FAILED),
            exit_code=code,
            error=behaviour.get("error", ""),
            cache="missed because it never ran",
            started=started,
            ended=time.time(),
            tracking_url="http://127.0.0.1:5000/#/experiments/1/runs/ab?workflowType=machine_learning",
        )
        write_outcome(settings, outcome)
    return code


if __name__ == "__main__":
    sys.exit(main())
