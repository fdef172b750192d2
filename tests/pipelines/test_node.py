"""One node, in every way it can end. Real TFX, real PostgreSQL; each node runs in a process of its own."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("tfx")

from ml_metadata.proto import metadata_store_pb2
from tfx.v1 import dsl  # noqa: F401  # the forks inherit the import

from pipelines.compile import compile_pipeline
from pipelines.manifest import read_manifest, write_manifest
from pipelines.node import attempt  # noqa: F401
from pipelines.node.metadata import Connection, connection_config
from pipelines.outcome import Outcome, State, read_outcomes
from pipelines.override import Override
from pipelines.settings import Settings
from tests.pipelines.forked import ForkedNode, wait_for
from tests.pipelines.tiny.pipeline import create_pipeline
from tests.postgres import Server

NODES = ("schema", "contract", "count", "twice", "latest")
EXECUTION = metadata_store_pb2.Execution


@dataclass
class Bench:
    """Runs nodes of the tiny pipeline against a fresh database."""

    settings: Settings
    name: str
    """Of the pipeline."""
    url: str
    folder: Path
    _started: int = field(default=0)

    def start(
        self, node: str, *more: str, run_id: str = "run1", day: str = "2026-01-05", manifest: Path | None = None
    ) -> ForkedNode:
        command = self._command(node, *more, run_id=run_id, day=day, manifest=manifest)
        return self._fork(command)

    def _command(self, node: str, *more: str, run_id: str, day: str, manifest: Path | None = None) -> list[str]:
        path = manifest or self.manifest
        return ["run", "--manifest", str(path), "--node", node, "--run-id", run_id, "--day", day, *more]

    def _fork(self, *commands: list[str]) -> ForkedNode:
        self._started += 1
        return ForkedNode(*commands, environ=self.environ, output=self.folder / f"output{self._started}")

    def run(self, node: str, *more: str, run_id: str = "run1", day: str = "2026-01-05") -> tuple[int, str]:
        started = self.start(node, *more, run_id=run_id, day=day)
        return started.wait(), started.output()

    def run_up_to(self, last: str, *more: str, run_id: str = "run1", day: str = "2026-01-05") -> tuple[int, str]:
        """Runs the nodes in order; those before `last` must end well."""
        before = [self._command(node, run_id=run_id, day=day) for node in NODES[: NODES.index(last)]]
        forked = self._fork(*before)
        assert forked.wait() == 0, forked.output()
        return self.run(last, *more, run_id=run_id, day=day)

    @property
    def manifest(self) -> Path:
        return self.settings.manifests / f"{self.name}.json"

    def outcome(self, node: str, run_id: str = "run1") -> Outcome:
        return read_outcomes(self.settings, self.name, run_id)[node]

    @property
    def environ(self) -> dict[str, str]:
        return {"DAYBREAK_MLMD_URL": self.url, "DAYBREAK_STATE": str(self.settings.state)}

    def states(self, node: str) -> list[str]:
        """Of all executions of a node, oldest first."""
        with Connection(_config(self.url)) as connection:
            found = connection.store.get_executions_of_node([("node", f"{self.name}.{node}")])
        return [EXECUTION.State.Name(execution.last_known_state) for execution in reversed(found)]

    def half_written(self) -> list[Path]:
        root = self.settings.artifacts / self.name / "count"
        kept = [path for path in root.rglob("*") if path.is_file() and path.name != "rows.txt"]
        return kept + list(root.glob(".system/stateful_working_dir/*"))


_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    return server.new_database()


@pytest.fixture
def bench(settings: Settings, url: str, tmp_path: Path) -> Bench:
    """One database for all tests, and a pipeline of its own for each: making a database takes longer than a node."""
    name = f"tiny{next(_NUMBERS)}"
    compile_pipeline(create_pipeline(name=name), settings)
    return Bench(settings=settings, name=name, url=url, folder=tmp_path)


def _config(url: str) -> metadata_store_pb2.ConnectionConfig:
    return connection_config(Settings.from_environment(), {"DAYBREAK_MLMD_URL": url})


def test_all_kinds_of_nodes_run_and_leave_lineage(bench: Bench) -> None:
    code, output = bench.run_up_to("latest", "--set", "rows_limit=7")
    assert code == 0, output
    outcomes = read_outcomes(bench.settings, bench.name, "run1")
    assert {name: outcome.state for name, outcome in outcomes.items()} == dict.fromkeys(NODES, State.COMPLETE)
    rows = outcomes["count"].outputs["rows"][0]
    assert rows.id is not None and Path(rows.uri, "rows.txt").read_text() == "2026-01-05 0 one"
    assert outcomes["twice"].inputs["rows"] == (rows,)
    assert outcomes["latest"].outputs["double"][0].uri == outcomes["twice"].outputs["double"][0].uri
    assert outcomes["count"].parameters == {"day": "2026-01-05", "rows_limit": 0, "behave": "well"}
    assert outcomes["latest"].parameters["rows_limit"] == 7
    assert outcomes["count"].started < (outcomes["count"].work_started or 0) < outcomes["count"].ended
    assert outcomes["count"].peak_memory_bytes > 50 * 2**20


def test_the_next_run_of_the_day_hits_and_says_why(bench: Bench) -> None:
    bench.run_up_to("twice")
    code, output = bench.run_up_to("twice", run_id="run2")
    assert code == 0
    execution = bench.outcome("twice", "run2")
    assert execution.state is State.CACHED
    assert execution.cache.startswith("hit because inputs, parameters and code equal execution ")
    assert execution.cache.endswith("(run1)"), "the one that did the work, not one that hit before"
    assert execution.cache in output
    assert execution.outputs == bench.outcome("twice", "run1").outputs
    bench.run_up_to("twice", run_id="run3")
    assert bench.outcome("twice", "run3").cache.endswith("(run1)")


def test_a_miss_says_what_changed(bench: Bench) -> None:
    bench.run_up_to("count")
    assert "no earlier execution" in bench.outcome("count").cache
    bench.run_up_to("count", "--set", "rows_limit=5", run_id="run2")
    assert "parameter rows_limit changed 0 -> 5" in bench.outcome("count", "run2").cache
    bench.run_up_to("count", run_id="run3", day="2026-01-06")
    assert "parameter day changed 2026-01-05 -> 2026-01-06" in bench.outcome("count", "run3").cache
    bench.run_up_to("count", "--skip-cache", run_id="run4", day="2026-01-06")
    assert "asked to skip" in bench.outcome("count", "run4").cache
    assert bench.outcome("count", "run4").state is State.COMPLETE


def test_artifacts_that_vanished_are_made_again(bench: Bench) -> None:
    bench.run_up_to("count")
    rows = Path(bench.outcome("count").outputs["rows"][0].uri)
    rows.joinpath("rows.txt").unlink()
    rows.rmdir()
    bench.run_up_to("count", run_id="run2")
    assert "artifacts are gone" in bench.outcome("count", "run2").cache


def test_a_stamp_is_part_of_the_key(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = read_manifest(bench.manifest)
    stamped = [
        node.model_copy(update={"stamps": {"source": "tests.pipelines.test_node:stamp"}} if node.id == "count" else {})
        for node in manifest.nodes
    ]
    write_manifest(manifest.model_copy(update={"nodes": tuple(stamped)}), bench.manifest)
    monkeypatch.setenv("TEST_STAMP", "one")
    bench.run_up_to("count")
    bench.run_up_to("count", run_id="run2")
    assert bench.outcome("count", "run2").state is State.CACHED
    monkeypatch.setenv("TEST_STAMP", "two")
    bench.run_up_to("count", run_id="run3")
    assert "missed because source changed" in bench.outcome("count", "run3").cache


def stamp(manifest: object, parameters: dict[str, object]) -> str:
    del manifest
    return f"{os.environ['TEST_STAMP']} {parameters['day']} {parameters['rows_limit']}"


@pytest.mark.parametrize(
    ("behave", "code", "words"),
    [
        ("raise", 70, ["nodes.py:", "KeyError", "no such column", "Fix:"]),
        ("data", 65, ["the day is missing", "Fix: wait for it", "/count of 2026-01-05"]),
        ("full", 74, ["disk or memory ran out", "Fix:"]),
        ("down", 75, ["connection failed", "mlflow is not there"]),
        ("exit", 70, ["SystemExit"]),
    ],
)
def test_a_failure_has_a_code_a_place_and_a_way_out(bench: Bench, behave: str, code: int, words: list[str]) -> None:
    received, output = bench.run_up_to("count", "--set", f"behave={behave}")
    assert received == code, output
    outcome = bench.outcome("count")
    assert (outcome.state, outcome.exit_code) == (State.FAILED, code)
    for word in words:
        assert word in outcome.error
    assert outcome.error in output
    assert "Traceback" in output, "the user's own exception is kept"
    assert bench.states("count") == ["FAILED"]
    assert bench.half_written() == []


def test_a_retry_after_a_failure_goes_on_in_the_same_run(bench: Bench) -> None:
    bench.run_up_to("count", "--set", "behave=raise")
    assert bench.run("count")[0] == 0
    code, output = bench.run("twice")
    assert code == 0, output
    assert bench.states("count") == ["FAILED", "COMPLETE"]
    first, second = bench.outcome("count").tries
    assert min(first.cpu_secs, second.cpu_secs) > 0, "the failed try costs as well"
    assert bench.run("count")[0] == 0
    assert bench.outcome("count").state is State.CACHED
    assert bench.outcome("count").tries == (first, second), "and reuse costs nothing"


def test_a_node_run_again_after_success_replaces_its_outputs(bench: Bench) -> None:
    """As when someone clears a task in Airflow: the nodes below see the new artifact, and only that."""
    bench.run_up_to("twice")
    first = bench.outcome("count").outputs["rows"][0]
    assert bench.run("count", "--set", "rows_limit=3")[0] == 0
    second = bench.outcome("count").outputs["rows"][0]
    assert bench.run("twice")[0] == 0
    assert bench.outcome("twice").inputs["rows"] == (second,)
    assert Path(first.uri, "rows.txt").exists(), "other runs may have the first one from the cache"
    for node in NODES:
        assert bench.run(node)[0] == 0, f"{node} can be cleared too"
    assert bench.outcome("twice").inputs["rows"] == (first,)


def test_a_refusal_is_published_and_stays_refused_from_the_cache(bench: Bench) -> None:
    for run_id, cached in (("run1", False), ("run2", True)):
        code, output = bench.run_up_to("contract", "--set", "behave=refuse", run_id=run_id)
        outcome = bench.outcome("contract", run_id)
        assert (code, outcome.state) == (10, State.REFUSED), output
        assert "only 3 rows" in outcome.error and "daybreak run --force" in outcome.error
        assert outcome.outputs["report"][0].type == "GateReport"
        assert outcome.cache.startswith("hit") is cached
    assert bench.states("contract") == ["COMPLETE", "CACHED"]


FORCE = ("--force", "--reason", "the supplier knows", "--user", "ann")


def test_a_forced_run_goes_on_and_leaves_the_refusal_in_the_cache(bench: Bench) -> None:
    refuse = ("--set", "behave=refuse")
    assert bench.run_up_to("contract", *refuse)[0] == 10
    code, output = bench.run_up_to("contract", *refuse, *FORCE, run_id="forced")
    assert code == 0 and "forced on by ann: the supplier knows; only 3 rows" in output
    forced = bench.outcome("contract", "forced")
    assert (forced.state, forced.override) == (State.CACHED, Override(user="ann", reason="the supplier knows"))
    assert bench.run("count", *FORCE, run_id="forced")[0] == 0
    assert bench.outcome("count", "forced").override is None, "it refused nothing"
    assert bench.run_up_to("contract", *refuse, run_id="again")[0] == 10, "forced once is not forced for ever"
    assert bench.states("contract") == ["COMPLETE", "CACHED", "CACHED"]


@pytest.mark.parametrize(
    "more", [("--force",), ("--force", "--reason", " "), ("--reason", "why"), ("--set", "force=1")]
)
def test_force_without_a_reason_is_refused_before_anything_runs(bench: Bench, more: tuple[str, ...]) -> None:
    code, output = bench.run("contract", *more)
    assert code == 78, output
    assert "reason" in output and "Fix: " in output
    assert bench.states("contract") == []


def test_missing_inputs_end_in_one_clear_error(bench: Bench) -> None:
    code, output = bench.run("twice")
    assert code == 65, output
    assert "a node above it did not" in output or "no artifact in this run" in output
    assert bench.states("twice") == ["FAILED"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--set", "rows=3"), "rows_limit"),
        (("--set", "rows_limit=many"), "of type int"),
        (("--set", "rows_limit"), "NAME=VALUE"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(bench: Bench, more: tuple[str, str], words: str) -> None:
    code, output = bench.run("schema", *more)
    assert code == 78, output
    assert words in output and "Fix:" in output
    assert bench.states("schema") == []


def test_text_with_backslashes_survives_the_database(bench: Bench) -> None:
    """ML Metadata's PostgreSQL source builds invalid SQL from them."""
    windows = r"a\\b \' \n {}"
    code, output = bench.run_up_to("count", "--set", f"behave={windows}")
    assert code == 0, output
    with Connection(_config(bench.url)) as connection:
        [execution] = connection.store.get_executions_of_node([("node", f"{bench.name}.count")])
    assert execution.custom_properties["behave"].string_value == windows
    assert bench.run("count", "--set", f"behave={windows}", run_id="run1")[0] == 0
    assert bench.outcome("count").state is State.CACHED


def test_unknown_node_manifest_and_database(bench: Bench, tmp_path: Path) -> None:
    code, output = bench.run("conut")
    assert code == 78 and "conut" in output and "daybreak compile" in output
    missing = bench.start("count", manifest=tmp_path / "absent.json")
    assert missing.wait() == 78 and "daybreak compile absent" in missing.output()
    bench.url = bench.url.replace("/test", "/no_such_test")
    code, output = bench.run("schema")
    assert code == 78 and "DAYBREAK_MLMD_URL" in output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_sigterm_publishes_and_leaves_nothing_half(bench: Bench, tmp_path: Path, number: int, code: int) -> None:
    marker = tmp_path / "reached"
    bench.run_up_to("contract")
    node = bench.start("count", "--set", f"behave=wait:{marker}")
    wait_for(marker)
    assert bench.half_written(), "the test would prove nothing"
    node.signal(number)
    assert node.wait() == code, node.output()
    assert bench.states("count") == ["CANCELED"]
    assert bench.half_written() == []
    assert bench.outcome("count").exit_code == code
    assert bench.run("count")[0] == 0
    assert bench.run("twice")[0] == 0


def test_the_next_try_cleans_up_after_kill_9(bench: Bench, tmp_path: Path) -> None:
    marker = tmp_path / "reached"
    bench.run_up_to("contract")
    node = bench.start("count", "--set", f"behave=wait:{marker}")
    wait_for(marker)
    node.signal(signal.SIGKILL)
    node.wait()
    assert bench.states("count") == ["RUNNING"]
    assert bench.half_written()
    code, output = bench.run("count")
    assert code == 0, output
    assert bench.half_written() == []
    assert bench.states("count") == ["FAILED", "COMPLETE"]
    assert bench.run("twice")[0] == 0


def test_a_crash_of_native_code_is_retryable(bench: Bench) -> None:
    code, _ = bench.run_up_to("count", "--set", "behave=crash")
    assert code == -signal.SIGSEGV
    assert bench.run("count")[0] == 0


def test_two_runs_of_one_day_take_turns_and_share_the_work(bench: Bench, tmp_path: Path) -> None:
    for run_id in ("run1", "run2"):
        bench.run_up_to("contract", run_id=run_id)
    first = bench.start("count", "--set", "behave=slow:3", run_id="run1")
    time.sleep(1.5)
    second = bench.start("count", "--set", "behave=slow:3", run_id="run2")
    assert (first.wait(), second.wait()) == (0, 0)
    assert "waiting for run run1" in second.output()
    assert bench.outcome("count", "run2").state is State.CACHED


def test_many_nodes_at_once_on_an_empty_database(bench: Bench, server: Server) -> None:
    """Schema creation, types and contexts: what TFX alone trips over."""
    bench.url = server.new_database()
    started = [bench.start(node, run_id=f"run{n}", day=f"2026-01-0{n}") for n in range(1, 5) for node in NODES[:2]]
    for node in started:
        assert node.wait() == 0, node.output()
    started = [bench.start("count", run_id=f"run{n}", day=f"2026-01-0{n}") for n in range(1, 5)]
    for node in started:
        assert node.wait() == 0, node.output()


def test_a_database_that_restarts_is_waited_for(bench: Bench, server: Server) -> None:
    bench.url = server.new_database()
    bench.run_up_to("contract")
    node = bench.start("count", "--set", "behave=slow:3")
    time.sleep(1.5)
    server.restart()
    assert node.wait() == 0, node.output()


def test_run_all_stops_at_the_first_failure_and_concludes(bench: Bench) -> None:
    argv = ["run-all", "--manifest", str(bench.manifest), "--run-id", "run1", "--day", "2026-01-05"]
    node = ForkedNode([*argv, "--set", "behave=raise"], environ=bench.environ, output=bench.folder / "all")
    assert node.wait() == 70, node.output()
    assert set(read_outcomes(bench.settings, bench.name, "run1")) == {"contract", "schema", "count"}


def test_cold_process_and_its_parent(bench: Bench, tmp_path: Path) -> None:
    """`python -m pipelines.node` gives the same, and ends when the process that started it is killed."""
    from pipelines.worker_client import start_node

    bench.run_up_to("contract")
    argv = ["run", "--manifest", str(bench.manifest), "--run-id", "run1", "--day", "2026-01-05"]
    marker = tmp_path / "reached"
    parent = os.fork()
    if parent == 0:
        start_node(
            [*argv, "--node", "count", "--set", f"behave=wait:{marker}"],
            ml_python=sys.executable,
            worker_socket=None,
            environ={**os.environ, **bench.environ},
        )
        time.sleep(60)
        os._exit(0)
    pid = int(wait_for(marker, secs=90))
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    _until(lambda: not Path(f"/proc/{pid}").exists())
    assert bench.states("count") == ["CANCELED"]
    assert bench.half_written() == []


def _until(condition: Callable[[], bool], *, secs: float = 20) -> None:
    deadline = time.monotonic() + secs
    while not condition():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.1)
