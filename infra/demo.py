"""`make demo`: services, and four simulated days of a shop that retrains on what its own gateway logged.

    Demo(Configuration.read(Settings.from_environment()), start="2026-01-05").run()

    day 1   simulated log -> retrain -> the first champion
    day 2   live traffic meets it -> the gateway's log is the training day -> retrain -> a candidate waits
    day 3   live traffic rolls it out; the training day has a tracking error -> retrain -> a bad candidate waits
    day 4   live traffic meets that, and it is rolled back

Only public doors are used: commands, Airflow's REST API, the gateway, and the files a run leaves.
"""

from __future__ import annotations

import datetime
import hashlib
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field
from typing import Any
from urllib.parse import quote

from infra.demo_summary import DayResult, read_day, render
from infra.live_shop import PIPELINE, LiveShop
from infra.services.airflow_api import AirflowAnswer, AirflowApi, patiently
from infra.services.configuration import Configuration
from infra.services.credentials import AIRFLOW_USER, Services
from infra.services.lifecycle import bring_up
from infra.services.overview import addresses
from infra.services.supervisor import Supervisor
from pipelines.errors import DaybreakError, SpecError, TransientError
from pipelines.outcome import read_outcomes
from pipelines.settings import Settings

DAG = f"daybreak_{PIPELINE}"
POLL_SECS = 1.0
DAG_PATIENCE_SECS = 180.0
"""The DAG processor looks for new manifests every 10 s, and is slow while everything starts."""
SILENCE_SECS = 20.0
"""After so long without news the running nodes are named, so that nobody thinks it hangs."""
DAYS = 4
QUIET_VISITS = 4000
"""Of the day that nobody is rolled out on: enough to learn from."""
QUIET_HOURS = (0, 12)
LEARNED_ROWS = 60_000
"""Of a day with a rollout, which has four times as many."""
ROLLOUT_HOURS = (0, 1, 4, 7, 10, 13, 16, 19, 22, 23)
"""When ticks come: `shadow_hours`, then every `stage_hours`; gateways wait no longer than `ttl_secs`."""

Report = Callable[[str], None]
_ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}
_RETRYING = {"up_for_retry", "restarting"}


def _print(line: str) -> None:
    print(line, flush=True)


@dataclass
class Demo:
    configuration: Configuration
    _: KW_ONLY
    start: str = "2026-01-05"
    rows: int = 0
    """Impressions of the first day; 0 leaves it to the simulator."""
    visits: int = 24_000
    """Of a day with a rollout: fewer cannot tell what its margins ask."""
    report: Report = _print
    _begin: float = field(default_factory=time.monotonic)

    def run(self) -> int:
        """0 when one rollout was promoted and one rolled back; 1 when not, or a node failed. The services stay up."""
        days = self._days()
        if "airflow" in self.configuration.without:
            raise SpecError("the demo retrains through Airflow. Received: --without airflow", fix="leave that out")
        with ThreadPoolExecutor(1) as background:
            # Mostly imports, while the services mostly wait for each other.
            data = background.submit(self._make_data_and_manifest)
            services, _ = bring_up(self.configuration, report=self._tell)
            for line in data.result():
                self._tell(line)
        with AirflowApi(
            self.configuration.airflow_url, user=AIRFLOW_USER, password=services.secrets.airflow_password
        ) as api:
            shop = LiveShop(self.configuration, api, report=self._tell, visits=self.visits)
            retrains = Retrains(api, settings=self.configuration.settings, report=self.report)
            self._tell(f"{DAG}: waiting for Airflow to see it")
            retrains.wait_for_dag()
            results = self._live(shop, retrains, days)
        self._summarise(results, shop, services)
        return int(
            any(result.failed for result in results) or list(shop.states.values()) != ["promoted", "rolled_back"]
        )

    def _live(self, shop: LiveShop, retrains: Retrains, days: Sequence[str]) -> list[DayResult]:
        first, quiet, good, bad = days
        results = [self._retrain(retrains, first)]
        if results[0].model_version is None:
            return results
        shop.open(quiet)
        shop.pass_day(quiet, hours=QUIET_HOURS, visits=QUIET_VISITS)
        shop.write_training_day(quiet)
        results.append(self._retrain(retrains, quiet))
        self._queue(shop, results[-1], good)
        shop.pass_day(good, hours=ROLLOUT_HOURS)
        shop.write_training_day(good)
        shop.spoil(good)
        results.append(self._retrain(retrains, good, rows_limit=LEARNED_ROWS))
        self._queue(shop, results[-1], bad)
        shop.pass_day(bad, hours=ROLLOUT_HOURS, until_final=True)
        return results

    def _queue(self, shop: LiveShop, result: DayResult, day: str) -> None:
        """An accepted candidate waits already; one that the gates could not judge meets users because a person says so."""
        if result.verdict == "inconclusive" and result.model_version:
            shop.start_by_hand(result.model_version, day, "the gates could not tell; users can")
            self._tell(f"version {result.model_version} starts by hand: {result.headline}")

    def _days(self) -> list[str]:
        try:
            first = datetime.date.fromisoformat(self.start)
        except ValueError:
            raise SpecError(
                f"`start` must be a date such as 2026-01-05. Received: start={self.start!r}", fix="correct it"
            ) from None
        return [(first + datetime.timedelta(days=number)).isoformat() for number in range(DAYS)]

    def _make_data_and_manifest(self) -> list[str]:
        rows = ["--rows", str(self.rows)] if self.rows else []
        simulate = ["pipelines.shop.simulator", "--days", "1", "--start", self.start, *rows]
        return [line for command in (simulate, ["pipelines.compile", PIPELINE]) for line in self._ml(command)]

    def _ml(self, command: Sequence[str]) -> list[str]:
        settings = self.configuration.settings
        done = subprocess.run(
            [str(settings.python("ml")), "-m", *command], cwd=settings.home, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            end = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
            raise DaybreakError(f"`python -m {' '.join(command)}` ended with {done.returncode}:\n{end}")
        return done.stdout.strip().splitlines()

    def _retrain(self, retrains: Retrains, day: str, *, rows_limit: int = 0) -> DayResult:
        self._tell(f"{day}: retrain")
        result = retrains.run(day, rows_limit=rows_limit)
        self._tell(f"{day}: {result.headline}")
        return result

    def _summarise(self, results: Sequence[DayResult], shop: LiveShop, services: Services) -> None:
        self.report("")
        for line in shop.status() if shop.states else []:
            self.report(line)
        self.report("")
        for line in render(results, seconds=time.monotonic() - self._begin):
            self.report(line)
        self.report("")
        running = Supervisor(self.configuration).processes()
        for line in addresses(self.configuration, services, running=running, show_password=True):
            self.report(line)
        self.report(
            f"Rollouts {self.configuration.gateway_url}/rollouts (simulated traffic); daybreak rollout events {PIPELINE}"
        )
        spent = ", ".join(f"{kind} {secs:.0f} s" for kind, secs in shop.secs.items())
        self.report(f"Time     {spent}; the rest are services and retrains")
        self.report(f"More     daybreak explain {PIPELINE} --day {results[0].day}; daybreak status; make down")

    def _tell(self, line: str) -> None:
        seconds = int(time.monotonic() - self._begin)
        self.report(f"{seconds // 60:3d}:{seconds % 60:02d}  {line}")


class Retrains:
    """One pipeline's DAG, over Airflow's REST API."""

    def __init__(self, api: AirflowApi, *, settings: Settings, report: Report, dag: str = DAG) -> None:
        self._api, self._settings, self._report, self._dag = api, settings, report, dag

    def wait_for_dag(self) -> None:
        """Until it is parsed, then unpaused. Raises `TransientError` with Airflow's import errors."""
        deadline = time.monotonic() + DAG_PATIENCE_SECS
        while not self._unpause():
            if time.monotonic() > deadline:
                errors = self._api.get("/importErrors")["import_errors"]
                shown = "; ".join(f"{error['filename']}: {error['stack_trace'][-300:]}" for error in errors[:2])
                raise TransientError(
                    f"Airflow did not find the DAG {self._dag} within {DAG_PATIENCE_SECS:g} s. {shown}",
                    fix=f"read {self._settings.logs / 'dag-processor.log'}",
                )
            time.sleep(POLL_SECS)

    def _unpause(self) -> bool:
        try:
            self._api.patch(f"/dags/{self._dag}", {"is_paused": False})
        except AirflowAnswer as answer:
            if answer.status == 404:
                return False
            raise
        return True

    def run(self, day: str, *, rows_limit: int = 0) -> DayResult:
        """Triggers the day and follows its nodes to the end."""
        airflow_run = f"demo__{day}__{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}"
        body = {"dag_run_id": airflow_run, "logical_date": None, "conf": {"day": day, "rows_limit": rows_limit}}
        patiently(lambda: self._trigger(body))
        state = self._follow(day, airflow_run)
        return read_day(self._settings, PIPELINE, day=day, run_id=run_id(day, airflow_run), airflow_state=state)

    def _trigger(self, body: Mapping[str, Any]) -> None:
        try:
            self._api.post(f"/dags/{self._dag}/dagRuns", body)
        except AirflowAnswer as answer:
            if answer.status != 409:  # an earlier try was heard after all
                raise

    def _follow(self, day: str, airflow_run: str) -> str:
        path = f"/dags/{self._dag}/dagRuns/{quote(airflow_run, safe='')}"
        told: dict[str, str] = {}
        news = time.monotonic()
        while True:
            run = patiently(lambda: self._api.get(path))
            tasks = patiently(lambda: self._api.get(f"{path}/taskInstances", params={"limit": 1000}))["task_instances"]
            lines = list(self._news(day, airflow_run, tasks, told))
            running = [task["task_id"] for task in tasks if task["state"] == "running"]
            if not lines and running and time.monotonic() - news > SILENCE_SECS:
                lines = [f"         {', '.join(running)} …"]
            if lines:
                news = time.monotonic()
            for line in lines:
                self._report(line)
            if run["state"] in ("success", "failed"):
                return str(run["state"])
            time.sleep(POLL_SECS)

    def _news(
        self, day: str, airflow_run: str, tasks: Sequence[Mapping[str, Any]], told: dict[str, str]
    ) -> Iterator[str]:
        outcomes = read_outcomes(self._settings, PIPELINE, run_id(day, airflow_run))
        for task in sorted(tasks, key=lambda task: task["end_date"] or "~"):
            name, state = task["task_id"], task["state"]
            key = f"{state} {task['try_number']}"
            if state not in _ENDED | _RETRYING or told.get(name) == key:
                continue
            told[name] = key
            outcome = outcomes.get(name)
            word = outcome.state.value if outcome and state in ("success", "failed") else state.replace("_", " ")
            seconds = f"{task['duration']:7.1f} s" if task["duration"] else f"{'':9}"
            why = (outcome.cache or outcome.error.strip().partition("\n")[0]) if outcome else ""
            yield f"         {name:<15} {word:<16}{seconds}  {why[:100]}".rstrip()


def run_id(day: str, airflow_run: str) -> str:
    """What the node operator calls the run of a DAG run."""
    return f"{PIPELINE}-{day}-{hashlib.sha256(airflow_run.encode()).hexdigest()[:8]}"
