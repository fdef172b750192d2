"""What the demo asks Airflow, how it follows a run, and what it says at the end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dags.runs import run_id as run_id_of_the_operator
from infra import demo
from infra.demo import DAG, Demo, Retrains, patiently, run_id
from infra.demo_summary import DayResult, read_day, render
from infra.live_shop import LiveShop
from infra.services.airflow_api import AirflowAnswer, AirflowApi
from infra.services.configuration import Configuration
from pipelines.errors import SpecError, TransientError
from pipelines.outcome import Outcome, State, run_folder, write_outcome
from pipelines.settings import Settings

DAY = "2026-01-05"


class Airflow(ThreadingHTTPServer):
    """Speaks as much of Airflow's API as the demo uses, over real HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str, Any]] = []
        self.known_after = 0
        """Requests until the DAG is there."""
        self.broken_answers = 0
        """So many answers to questions about a run are 500."""
        self.states = ["queued", "running", "success"]
        self.tasks: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/auth/token":
            return 201, {"access_token": "token"}
        self.asked.append((method, path, body))
        if path == f"/api/v2/dags/{DAG}":
            self.known_after -= 1
            return (404, {}) if self.known_after >= 0 else (200, {})
        if path.startswith("/api/v2/importErrors"):
            return 200, {"import_errors": [{"filename": "retrain.py", "stack_trace": "No module named 'tfx'"}]}
        if method == "POST":
            return 200, {}
        if self.broken_answers > 0:
            self.broken_answers -= 1
            return 500, {}
        if "taskInstances" in path:
            return 200, {"task_instances": self.tasks}
        return 200, {"state": self.states.pop(0) if len(self.states) > 1 else self.states[0]}


class _Handler(BaseHTTPRequestHandler):
    server: Airflow

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        code, answer = self.server.answer(self.command, self.path, body)
        content = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = _serve

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Airflow]:
    monkeypatch.setattr(demo, "POLL_SECS", 0.01)
    with Airflow() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, state=tmp_path / "state")


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def retrains(airflow: Airflow, settings: Settings, lines: list[str]) -> Iterator[Retrains]:
    with AirflowApi(airflow.url, user="admin", password="secret") as api:
        yield Retrains(api, settings=settings, report=lines.append)


def task(name: str, state: str, *, tries: int = 1, seconds: float | None = 2.0) -> dict[str, Any]:
    return {"task_id": name, "state": state, "try_number": tries, "duration": seconds, "end_date": None}


def outcome(node: str, run: str, **changes: Any) -> Outcome:
    defaults = {"pipeline": "shop", "run_id": run, "node": node, "day": DAY, "state": State.COMPLETE}
    return Outcome(**{**defaults, "started": 10.0, "ended": 14.0, **changes})


def write_decision(settings: Settings, run: str, **changes: Any) -> None:
    folder = run_folder(settings, "shop", run)
    folder.mkdir(parents=True, exist_ok=True)
    decision = {"verdict": "accepted", "gate": "evaluate", "reason": "every check\nholds"}
    (folder / "decision.json").write_text(json.dumps({**decision, **changes}))


def test_the_run_is_found_under_the_operators_name_for_it() -> None:
    import datetime

    airflow_run = f"demo__{DAY}__20260106T000000"
    operator = run_id_of_the_operator("shop", day=datetime.date.fromisoformat(DAY), airflow_run_id=airflow_run)
    assert run_id(DAY, airflow_run) == operator


def test_a_day_is_triggered_once_with_its_day(airflow: Airflow, retrains: Retrains) -> None:
    retrains.run(DAY)
    bodies = [body for method, path, body in airflow.asked if method == "POST"]
    assert [(body["conf"], body["logical_date"]) for body in bodies] == [({"day": DAY, "rows_limit": 0}, None)]


def test_it_waits_for_a_dag_that_is_not_parsed_yet(airflow: Airflow, retrains: Retrains) -> None:
    airflow.known_after = 3
    retrains.wait_for_dag()
    assert airflow.asked[-1] == ("PATCH", f"/api/v2/dags/{DAG}", {"is_paused": False})
    assert len(airflow.asked) == 4


def test_a_dag_that_never_comes_ends_with_airflows_own_reason(
    airflow: Airflow, retrains: Retrains, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow.known_after = 10**9
    monkeypatch.setattr(demo, "DAG_PATIENCE_SECS", 0.05)
    with pytest.raises(TransientError, match="No module named 'tfx'"):
        retrains.wait_for_dag()


def test_an_api_server_that_is_restarted_does_not_end_the_demo(airflow: Airflow, retrains: Retrains) -> None:
    airflow.broken_answers = 3
    assert retrains.run(DAY).airflow_state == "success"


def test_a_refused_request_is_not_asked_again() -> None:
    asked = []

    def refuse() -> None:
        asked.append(1)
        raise AirflowAnswer("no", status=400)

    with pytest.raises(AirflowAnswer):
        patiently(refuse)
    assert len(asked) == 1


def test_every_node_is_told_once_and_a_retry_again(airflow: Airflow, retrains: Retrains, lines: list[str]) -> None:
    airflow.states = ["running", "running", "running", "success"]
    airflow.tasks = [task("contract", "success"), task("train", "up_for_retry"), task("evaluate", "running")]
    retrains.run(DAY)
    assert [line.split()[:2] for line in lines] == [["contract", "success"], ["train", "up"]]


def test_silence_names_the_nodes_that_run(
    airflow: Airflow, retrains: Retrains, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SILENCE_SECS", 0.0)
    airflow.states = ["running", "success"]
    airflow.tasks = [task("train", "running", seconds=None)]
    retrains.run(DAY)
    assert lines[0].strip() == "train …"


def test_a_refusal_is_a_result_and_a_failed_node_is_not(settings: Settings) -> None:
    refused = "shop-refused"
    write_outcome(settings, outcome("contract", refused, state=State.REFUSED, exit_code=10))
    write_decision(settings, refused, verdict="refused", gate="contract", reason="7 % of the rows are bad")
    result = read_day(settings, "shop", day=DAY, run_id=refused, airflow_state="failed")
    assert not result.failed
    assert result.headline == "refused by contract: 7 % of the rows are bad"

    broken = "shop-broken"
    write_outcome(settings, outcome("train", broken, state=State.FAILED, exit_code=70))
    write_decision(settings, broken, verdict="not_evaluable", gate="", reason="train failed")
    result = read_day(settings, "shop", day=DAY, run_id=broken, airflow_state="failed")
    assert result.failed
    assert result.headline == "not evaluable: train failed"


@pytest.mark.parametrize("content", ["", "{", "{}"])
def test_a_decision_that_cannot_be_read_is_a_failure(settings: Settings, content: str) -> None:
    folder = run_folder(settings, "shop", "shop-1")
    folder.mkdir(parents=True)
    (folder / "decision.json").write_text(content)
    result = read_day(settings, "shop", day=DAY, run_id="shop-1", airflow_state="failed")
    assert result.failed
    assert "no decision" in result.headline


def test_the_summary_says_what_was_decided_the_model_and_where_the_time_went(settings: Settings) -> None:
    model = {"name": "shop", "version": "2", "aliases": ["champion"], "champion_before": "1", "champion_after": "2"}
    run = "shop-1"
    write_decision(settings, run, model=model)
    write_outcome(settings, outcome("train", run, started=0.0, ended=40.5))
    write_outcome(settings, outcome("contract", run, state=State.CACHED, started=0.0, ended=0.5))
    text = "\n".join(render([read_day(settings, "shop", day=DAY, run_id=run, airflow_state="success")], seconds=125))
    assert f"{DAY}  accepted by evaluate: every check holds" in text
    assert "shop version 2 (@champion); champion 1 -> 2" in text
    assert "41.0 s in 2 nodes, 1 from the cache: train 40.5 s, contract 0.5 s" in text
    assert "1 day in 2 min 5 s" in text


def test_no_model_says_why() -> None:
    decision = {"verdict": "refused", "model": {"name": "shop", "version": None, "reason": "auc is below its bound"}}
    result = DayResult(day=DAY, run_id="shop-1", airflow_state="success", decision=decision)
    assert result.model == "no new model: auc is below its bound"


def test_a_person_starts_only_what_the_gates_could_not_judge(settings: Settings) -> None:
    found = Demo(Configuration.read(settings, environ={}), report=lambda line: None)
    started: list[str] = []

    class Shop(LiveShop):
        def start_by_hand(self, version: str, day: str, reason: str) -> None:
            started.append(version)

    shop = Shop(
        Configuration.read(settings, environ={}), AirflowApi("", user="", password=""), report=lambda line: None
    )
    for number, verdict in enumerate(("accepted", "inconclusive", "refused"), start=1):
        decision = {"verdict": verdict, "model": {"version": str(number)}}
        result = DayResult(day=DAY, run_id="shop-1", airflow_state="success", decision=decision)
        found._queue(shop, result, DAY)
    assert started == ["2"]


class Scripted(LiveShop):
    """Commands and ticks answer from a script."""

    def __init__(self, settings: Settings, report: Callable[[str], None]) -> None:
        api = AirflowApi("", user="", password="")
        super().__init__(Configuration.read(settings, environ={}), api, report)
        self.asked: list[tuple[str, ...]] = []
        self.says: dict[str, dict[str, Any]] = {}

    def _run(self, kind: str, command: Sequence[str]) -> list[str]:
        self.asked.append(tuple(command[3:]))
        return []

    def _tick_report(self, day: str, hour: int) -> dict[str, Any]:
        time = f"{day}T{hour:02d}:00"
        self.asked.append(("tick", time))
        return {"lines": [], "problems": [], "active": None} | self.says.get(time, {})

    def _wait_for_split(self) -> None:
        pass


def test_a_day_is_traffic_and_ticks_in_the_order_of_its_clock(settings: Settings, lines: list[str]) -> None:
    shop = Scripted(settings, lines.append)
    shop.pass_day(DAY, hours=(0, 12), visits=100)
    assert [words[0] == "tick" for words in shop.asked] == [True, False, True, False]
    assert [words[-1] for words in shop.asked if words[0] == "tick"] == [f"{DAY}T00:00", f"{DAY}T12:00"]
    sent = [words[words.index("--from") + 1 :] for words in shop.asked if "--from" in words]
    assert sent == [
        (f"{DAY}T00:00", "--hours", "12", "--visits", "100"),
        (f"{DAY}T12:00", "--hours", "12", "--visits", "100"),
    ]


def test_a_rollout_that_ended_ends_the_day(settings: Settings, lines: list[str]) -> None:
    shop = Scripted(settings, lines.append)
    shop.says = {
        f"{DAY}T00:00": {"lines": ["shop-2-ab: shadow (Its gates were passed.)"]},
        f"{DAY}T06:00": {"lines": ["shop-2-ab: rolling_back (worse)", "shop-2-ab: rolled_back (worse (by far))"]},
    }
    shop.pass_day(DAY, hours=(0, 6, 12), until_final=True)
    assert shop.states == {"shop-2-ab": "rolled_back"} and shop.newest == "rolled_back"
    assert sum("--from" in words for words in shop.asked) == 1
    assert lines[-1] == f"{DAY}T06:00  shop-2-ab rolled back: worse (by far)"


def test_a_rollout_that_another_tick_began_is_followed(settings: Settings, lines: list[str]) -> None:
    shop = Scripted(settings, lines.append)
    shop.states = {"shop-1-cd": "promoted"}
    shop.says = {f"{DAY}T00:00": {"active": {"rollout": "shop-2-ab", "state": "shadow"}}}
    shop.pass_day(DAY, hours=(0, 12), until_final=True)
    assert shop.newest == "shadow" and sum("--from" in words for words in shop.asked) == 2


def test_a_start_that_is_no_date_is_refused_before_anything_starts(settings: Settings) -> None:
    configuration = Configuration.read(settings, environ={})
    with pytest.raises(SpecError, match="tomorrow"):
        Demo(configuration, start="tomorrow").run()
    with pytest.raises(SpecError, match="--without airflow"):
        Demo(Configuration.read(settings, environ={}, without=("airflow",))).run()
    assert not settings.state.exists()
