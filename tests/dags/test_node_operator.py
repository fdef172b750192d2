"""The operator with a real process in the place of the node, called as Airflow calls it."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout

from dags import command_operator
from dags.node_operator import NodeFailedForNow, NodeOperator
from dags.runs import run_id

DAY = "2026-01-05"


@pytest.fixture
def operator(manifest_path: Path) -> NodeOperator:
    return NodeOperator(task_id="train", pipeline="shop", manifest_path=str(manifest_path), node="train")


def context(**form: Any) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC)
    return {
        "run_id": "manual__1",
        "params": {"day": DAY, **form},
        "dag_run": SimpleNamespace(triggering_user_name="ann", partition_key=None, run_after=now),
        "ti": SimpleNamespace(dag_id="daybreak_shop", try_number=2),
    }


def execute(operator: NodeOperator, **form: Any) -> dict[str, Any]:
    """`BaseOperator` guards `execute` against being called outside a task; the guard is not what is tested."""
    return NodeOperator.execute.__wrapped__(operator, context(**form))


def test_a_node_that_ends_well(operator: NodeOperator, started):
    result = execute(operator, rows_limit=5, skip_cache=True)
    assert result["state"] == "complete"
    assert result["cache"] == "missed because it never ran"
    (command,) = started()
    run = run_id("shop", day=datetime.date(2026, 1, 5), airflow_run_id="manual__1")
    assert command["argv"] == [
        "run", "--manifest", operator.manifest_path, "--run-id", run, "--day", DAY, "--node", "train",
        "--set", "rows_limit=5", "--skip-cache",
    ]  # fmt: skip
    assert result["run_id"] == run


def test_the_nodes_lines_are_in_the_tasks_log(operator: NodeOperator, capsys: pytest.CaptureFixture):
    execute(operator)
    log = capsys.readouterr().out
    assert "hello from run train" in log
    assert "goodbye" in log, "standard error too"


def test_lines_come_while_the_node_runs(operator: NodeOperator, script, capsys: pytest.CaptureFixture):
    script(train={"seconds": 2})
    thread = threading.Thread(target=execute, args=(operator,))
    thread.start()
    log: list[str] = []
    wait_until(lambda: log.append(capsys.readouterr().out) or "hello from run train" in "".join(log))
    assert "goodbye" not in "".join(log)
    thread.join()


def test_the_node_sees_no_secret_of_airflow(operator: NodeOperator, started, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "secret")
    execute(operator)
    environ = started()[0]["environ"]
    assert not [name for name in environ if name.startswith("AIRFLOW")]
    assert (environ["DAYBREAK_AIRFLOW_RUN"], environ["DAYBREAK_AIRFLOW_TRY"]) == ("manual__1", "2")


@pytest.mark.parametrize(
    ("code", "expected", "message"),
    [
        (10, AirflowFailException, "train refused the day: 3 rows of 4 break the contract"),
        (65, AirflowFailException, "exit code 65, a retry cannot help: 3 rows"),
        (70, AirflowFailException, "exit code 70, a retry cannot help: 3 rows"),
        (78, AirflowFailException, "exit code 78, a retry cannot help: 3 rows"),
        (1, AirflowFailException, "exit code 1, a retry cannot help: 3 rows"),
        (74, NodeFailedForNow, "exit code 74, a retry can help: 3 rows"),
        (75, NodeFailedForNow, "exit code 75, a retry can help: 3 rows"),
    ],
)
def test_exit_codes(operator: NodeOperator, script, code: int, expected: type[Exception], message: str):
    script(train={"exit": code, "error": "3 rows of 4 break the contract"})
    with pytest.raises(expected, match=message):
        execute(operator)
    assert operator.outcome is not None, "the links of a failed task lead to its MLflow run"


def test_a_long_error_is_cut(operator: NodeOperator, script):
    script(train={"exit": 70, "error": "\n".join(f"line {number}" for number in range(100))})
    with pytest.raises(AirflowFailException) as raised:
        execute(operator)
    assert str(raised.value).endswith("line 11\n… and 88 more lines in the log")


def test_a_node_that_leaves_no_outcome(operator: NodeOperator, script):
    execute(operator)  # an earlier try leaves its file
    script(train={"exit": 70, "outcome": False})
    with pytest.raises(AirflowFailException, match="see the log above"):
        execute(operator)
    assert operator.outcome is None, "the file of the earlier try says nothing about this one"


def test_a_killed_node_is_tried_again(operator: NodeOperator, script, started):
    script(train={"seconds": 60})
    killer = threading.Thread(target=lambda: os.kill(wait_until(started)[0]["pid"], signal.SIGKILL))
    killer.start()
    with pytest.raises(NodeFailedForNow, match="exit code 137"):
        execute(operator)
    killer.join()


@pytest.mark.parametrize("ignores_term", [False, True])
def test_killing_the_task_kills_the_node(
    operator: NodeOperator, script, started, monkeypatch: pytest.MonkeyPatch, ignores_term: bool
):
    """Airflow calls `on_kill` in a signal handler over `execute`."""
    monkeypatch.setattr(command_operator, "KILL_GRACE_SECS", 0.5)
    script(train={"seconds": 60, "ignores_term": ignores_term})
    previous = signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    killer = threading.Thread(
        target=lambda: (wait_until(started), time.sleep(0.3), os.kill(os.getpid(), signal.SIGTERM))
    )
    try:
        killer.start()
        with pytest.raises(NodeFailedForNow, match="exit code 137" if ignores_term else "exit code 143"):
            execute(operator)
    finally:
        killer.join()
        signal.signal(signal.SIGTERM, previous)
    assert not alive(started()[0]["pid"])


def test_a_task_out_of_time_takes_its_node_along(operator: NodeOperator, script, started):
    script(train={"seconds": 60})
    with pytest.raises(AirflowTaskTimeout), timeout(2):
        execute(operator)
    assert not alive(started()[0]["pid"])


def test_a_day_in_the_future_starts_nothing(operator: NodeOperator, manifest_path: Path, started):
    tomorrow = (datetime.date.today() + datetime.timedelta(days=2)).isoformat()
    with pytest.raises(AirflowFailException, match="must not be after today"):
        execute(operator, day=tomorrow)
    conclude = NodeOperator(task_id="conclude", pipeline="shop", manifest_path=str(manifest_path), node=None)
    with pytest.raises(AirflowSkipException, match="must not be after today"):
        execute(conclude, day=tomorrow)
    assert started() == []


def test_conclude_is_its_own_command(manifest_path: Path, started):
    operator = NodeOperator(task_id="conclude", pipeline="shop", manifest_path=str(manifest_path), node=None)
    assert set(execute(operator)) == {"run_id", "day"}
    assert started()[0]["argv"][0] == "conclude"
    assert "--set" not in started()[0]["argv"]


def test_the_operator_needs_no_ml_package():
    code = "import sys, dags.node_operator; print(sorted({'tensorflow', 'tfx', 'mlflow', 'numpy'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def wait_until(found: Callable[[], Any], *, secs: float = 20) -> Any:
    deadline = time.monotonic() + secs
    while not (value := found()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return value


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
