"""What the demo does with a served shop: simulated traffic, ticks, and the training day that comes of its log.

shop = LiveShop(configuration, api, report=print)
shop.open("2026-01-06")                 # the gateway serves the champion
shop.pass_day("2026-01-06", hours=(0, 12))
shop.write_training_day("2026-01-06")
"""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import httpx

from infra.services.airflow_api import AirflowAnswer, AirflowApi, patiently
from infra.services.configuration import Configuration
from infra.services.lifecycle import bring_up
from pipelines.errors import DaybreakError, TransientError

PIPELINE = "shop"
ROLLOUT_DAG = f"daybreak_{PIPELINE}_rollout"
TICK_SECS = 600.0
FINAL = frozenset({"promoted", "rolled_back", "inconclusive", "superseded"})
NEW_SPLIT_SECS = 120.0
"""A gateway looks at the document every second, and loads a model in a few."""
_POLL_SECS = 0.2
_STATE = re.compile(r"^(?P<rollout>\S+): (?P<state>[a-z_]+) \((?P<reason>.*)\)$")

Report = Callable[[str], None]


@dataclass
class LiveShop:
    configuration: Configuration
    api: AirflowApi
    report: Report
    visits: int = 24_000
    """A day."""
    states: dict[str, str] = field(default_factory=dict)
    """Of each rollout, as the last tick said."""
    secs: dict[str, float] = field(default_factory=dict)
    """What took how long."""

    def open(self, day: str) -> None:
        """Lays the champion out and starts the gateway, which has nothing to serve before."""
        self._daybreak("reconcile", "rollout", "reconcile", PIPELINE, "--now", _time(day, 0))
        bring_up(self.configuration, report=self.report)
        self._wait_for_split()

    def pass_day(self, day: str, *, hours: Sequence[int], visits: int = 0, until_final: bool = False) -> None:
        """Traffic of a whole day, with a tick at each of `hours`; `until_final`: no further than the rollout's end."""
        for hour, following in pairwise([*hours, 24]):
            self.tick(day, hour)
            if until_final and self.newest in FINAL:
                return
            self._send(day, hour, following - hour, visits=visits or self.visits)
        if until_final:
            self.tick(day, 24)

    @property
    def newest(self) -> str:
        """State of the newest rollout; empty when there was none."""
        return list(self.states.values())[-1] if self.states else ""

    def tick(self, day: str, hour: int) -> None:
        """At the simulated time."""
        report = self._tick_report(day, hour)
        for line in [*report["lines"], *report["problems"]]:
            found = _STATE.match(line)
            if found:
                self.states[found["rollout"]] = found["state"]
                self.report(
                    f"{_time(day, hour)}  {found['rollout']} {found['state'].replace('_', ' ')}: {found['reason']}"
                )
        if active := report["active"]:  # a tick of the retrain may have begun it
            self.states[active["rollout"]] = active["state"]
        self._wait_for_split()

    def _tick_report(self, day: str, hour: int) -> dict[str, Any]:
        """Of a run of the rollout's DAG."""
        api, began = self.api, time.monotonic()
        now = _time(day, hour)
        run = {"dag_run_id": f"demo__{now}", "logical_date": None, "conf": {"now": f"{now}:00Z"}}
        path = f"/dags/{ROLLOUT_DAG}/dagRuns"
        patiently(lambda: self._trigger(path, run))
        path = f"{path}/{quote(str(run['dag_run_id']), safe='')}"
        while patiently(lambda: api.get(path))["state"] not in ("success", "failed"):
            if time.monotonic() - began > TICK_SECS:
                raise TransientError(
                    f"the tick of {now} did not end within {TICK_SECS:g} s",
                    fix=f"see the run demo__{now} of {ROLLOUT_DAG} in Airflow",
                )
            time.sleep(_POLL_SECS)
        self.secs["ticks"] = self.secs.get("ticks", 0.0) + time.monotonic() - began
        found = patiently(lambda: api.get(f"{path}/taskInstances/tick/xcomEntries/return_value"))["value"]
        report: dict[str, Any] = json.loads(found) if isinstance(found, str) else found
        return report

    def _trigger(self, path: str, run: Mapping[str, Any]) -> None:
        try:
            self.api.post(path, run)
        except AirflowAnswer as answer:
            if answer.status != 409:  # an earlier try was heard after all
                raise

    def write_training_day(self, day: str) -> None:
        for line in self._ml("join", "components.join", "day", PIPELINE, "--day", day):
            self.report(f"training day from the gateway's log, {line}")

    def spoil(self, day: str) -> None:
        for line in self._ml("join", "pipelines.shop.tracking_error", "--day", day):
            self.report(f"a tracking error, on purpose: {line}")

    def start_by_hand(self, version: str, day: str, reason: str) -> None:
        self._daybreak(
            "ticks", "rollout", "start", PIPELINE, "--version", version, "--reason", reason, "--now", _time(day, 0)
        )

    def status(self) -> list[str]:
        return self._daybreak("status", "rollout", "status", PIPELINE)

    def _send(self, day: str, hour: int, hours: int, *, visits: int) -> None:
        traffic = ("pipelines.shop.traffic", "--gateway", self.configuration.gateway_url)
        when = ("--from", _time(day, hour), "--hours", str(hours), "--visits", str(visits))
        for line in self._ml("traffic", *traffic, *when):
            self.report(line)

    def _wait_for_split(self) -> None:
        """Until the gateway serves by the document that is there."""
        written = json.loads((self.configuration.settings.state / "serving" / PIPELINE / "split.json").read_bytes())
        deadline = time.monotonic() + NEW_SPLIT_SECS
        while True:
            found = httpx.get(f"{self.configuration.gateway_url}/rollout", trust_env=False, timeout=10).json()
            if found["split"] and found["split"]["version"] >= written["version"]:
                return
            if time.monotonic() > deadline:
                raise TransientError(
                    f"the gateway does not serve by the new split document: {found['failure'] or 'it says nothing'}",
                    fix=f"read {self.configuration.settings.logs / 'gateway.log'}",
                )
            time.sleep(_POLL_SECS)

    def _daybreak(self, kind: str, *words: str) -> list[str]:
        return self._run(kind, [sys.executable, "-m", "pipelines.cli", *words])

    def _ml(self, kind: str, *words: str) -> list[str]:
        return self._run(kind, [str(self.configuration.settings.python("ml")), "-m", *words])

    def _run(self, kind: str, command: Sequence[str]) -> list[str]:
        began = time.monotonic()
        done = subprocess.run(
            command, cwd=self.configuration.settings.home, capture_output=True, text=True, check=False
        )
        self.secs[kind] = self.secs.get(kind, 0.0) + time.monotonic() - began
        if done.returncode != 0:
            end = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
            raise DaybreakError(f"`{' '.join(command[2:])}` ended with {done.returncode}:\n{end}")
        return done.stdout.strip().splitlines()


def _time(day: str, hour: int) -> str:
    found = datetime.datetime.fromisoformat(day) + datetime.timedelta(hours=hour)
    return found.isoformat(timespec="minutes")
