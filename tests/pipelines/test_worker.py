"""The warm worker, for real: its imports, forks, signals, crashes and code changes.

It runs from a copy of the code, so that tests may change files of the platform and of the pipeline.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("tfx")

from pipelines.compile import compile_by_name
from pipelines.manifest import read_manifest
from pipelines.outcome import Outcome, State, read_outcomes
from pipelines.settings import REPOSITORY, Settings
from pipelines.worker_client import WORKER_DIED, NodeProcess, ping, start_node
from tests.pipelines.forked import wait_for
from tests.postgres import Server

pytestmark = pytest.mark.slow

READY_SECS = 180.0
DAY = "2026-01-05"


@dataclass
class Bench:
    settings: Settings
    socket: Path
    url: str
    folder: Path
    worker: subprocess.Popen[bytes] | None = None

    @property
    def environ(self) -> dict[str, str]:
        own = {"DAYBREAK_HOME": str(self.settings.home), "DAYBREAK_STATE": str(self.settings.state)}
        return {**os.environ, **own, "DAYBREAK_MLMD_URL": self.url, "DAYBREAK_TEST_MARK": "seen"}

    def launch_worker(self) -> None:
        log = (self.folder / "worker.log").open("ab")
        command = [sys.executable, "-m", "pipelines.worker", "--socket", str(self.socket)]
        # Not the environment of the nodes: each brings its own.
        self.worker = subprocess.Popen(command, cwd=self.settings.home, stdout=log, stderr=log)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        until(lambda: ping(self.socket) is not None, secs=READY_SECS)

    def start(
        self,
        node: str,
        *more: str,
        run_id: str = "run1",
        day: str = DAY,
        output: str = "output",
        manifest: Path | None = None,
    ) -> NodeProcess:
        manifest = manifest or self.settings.manifests / "tiny.json"
        argv = ["run", "--manifest", str(manifest), "--node", node, "--run-id", run_id, "--day", day, *more]
        with (self.folder / output).open("ab") as file:
            return start_node(
                argv,
                ml_python=sys.executable,
                worker_socket=self.socket,
                environ=self.environ,
                cwd=self.settings.home,
                stdout=file.fileno(),
                stderr=file.fileno(),
            )

    def run(self, node: str, *more: str, run_id: str = "run1", day: str = DAY, manifest: Path | None = None) -> int:
        started = self.start(node, *more, run_id=run_id, day=day, manifest=manifest)
        assert started.warm, (self.folder / "worker.log").read_text()
        return started.wait(READY_SECS)

    def run_up_to_count(self, *more: str, run_id: str = "run1", day: str = DAY) -> int:
        for node in ("schema", "contract"):
            assert self.run(node, run_id=run_id, day=day) == 0, self.output()
        return self.run("count", *more, run_id=run_id, day=day)

    def output(self, name: str = "output") -> str:
        return (self.folder / name).read_text()

    def outcome(self, node: str, run_id: str = "run1") -> Outcome:
        return read_outcomes(self.settings, "tiny", run_id)[node]


@pytest.fixture(scope="module")
def bench(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    home = tmp_path_factory.mktemp("clone")
    for name in ("pipelines", "components", "tests"):
        shutil.copytree(REPOSITORY / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path_factory.mktemp("worker")
    settings = Settings(home=home, state=folder / "state")
    compile_by_name("tests.pipelines.tiny.pipeline", settings)
    bench = Bench(
        settings=settings, socket=server.socket_folder / "w" / "socket", url=server.new_database(), folder=folder
    )
    bench.launch_worker()
    yield bench
    if bench.worker is not None:
        bench.worker.terminate()
        bench.worker.wait(30)


def until(condition: Callable[[], bool], *, secs: float = 30) -> None:
    deadline = time.monotonic() + secs
    while not condition():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.1)


def children(bench: Bench) -> list[str]:
    assert bench.worker is not None
    return Path(f"/proc/{bench.worker.pid}/task/{bench.worker.pid}/children").read_text().split()


def test_only_this_user_can_reach_it(bench: Bench) -> None:
    assert stat.S_IMODE(bench.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(bench.socket.parent.stat().st_mode) == 0o700


def test_warm_and_cold_give_the_same(bench: Bench) -> None:
    assert bench.run_up_to_count("--set", "rows_limit=5", run_id="warm") == 0, bench.output()
    manifest = bench.settings.manifests / "tiny.json"
    command = [sys.executable, "-m", "pipelines.node", "run-all", "--manifest", str(manifest), "--skip-cache"]
    command += ["--run-id", "cold", "--day", DAY, "--set", "rows_limit=5"]
    subprocess.run(command, env=bench.environ, cwd=bench.settings.home, capture_output=True, check=False)
    warm, cold = bench.outcome("count", "warm"), bench.outcome("count", "cold")
    contents = [Path(outcome.outputs["rows"][0].uri, "rows.txt").read_text() for outcome in (warm, cold)]
    assert contents[0] == contents[1] == f"{DAY} 5 one"
    assert (warm.parameters, warm.exit_code, warm.state) == (cold.parameters, cold.exit_code, State.COMPLETE)


def test_nothing_was_started_that_a_fork_would_break(bench: Bench) -> None:
    assert "nodes may hang" not in (bench.folder / "worker.log").read_text()


def test_real_components_run_in_forks(bench: Bench) -> None:
    """Beam, TFDV, TensorFlow Transform, Keras and TFMA start their threads and runtimes in the child."""
    if not os.environ.get("DAYBREAK_TEST_DATA"):
        pytest.skip("DAYBREAK_TEST_DATA does not name the folder above taxi/taxi_trips.csv")
    environ = {**bench.environ, "DAYBREAK_BENCHMARK_STEPS": "20"}
    command = [sys.executable, "-m", "pipelines.compile", "tests.benchmarks.taxi_chain.pipeline"]
    subprocess.run(command, env=environ, cwd=bench.settings.home, check=True, capture_output=True)
    manifest = bench.settings.manifests / "taxi_chain.json"
    for node in read_manifest(manifest).nodes:
        assert bench.run(node.id, run_id="taxi", manifest=manifest) == 0, bench.output()
    outcomes = read_outcomes(bench.settings, "taxi_chain", "taxi")
    assert {outcome.state for outcome in outcomes.values()} == {State.COMPLETE}
    assert "pushed_model" in outcomes["Pusher"].outputs


def test_logs_arrive_while_the_node_runs(bench: Bench) -> None:
    bench.run_up_to_count(run_id="logs")
    node = bench.start("count", "--skip-cache", "--set", "behave=slow:4", run_id="logs", output="live")
    until(lambda: "counting 2026-01-05" in bench.output("live"), secs=10)
    with pytest.raises(TimeoutError):
        node.wait(0.1)
    assert node.wait() == 0


@pytest.mark.parametrize(("behave", "code"), [("raise", 70), ("data", 65), ("exit", 70), ("crash", 139)])
def test_exit_codes_pass_through(bench: Bench, behave: str, code: int) -> None:
    assert bench.run_up_to_count("--set", f"behave={behave}", run_id=f"exit-{behave}") == code
    assert bench.run("count", run_id=f"exit-{behave}") == 0, "the next one works"


def test_bad_arguments_end_like_a_command(bench: Bench) -> None:
    assert bench.run("no_such_node") == 78
    node = bench.start("count", "--no-such-option")
    assert node.wait() == 2


def test_signals_pass_through(bench: Bench, tmp_path: Path) -> None:
    marker = tmp_path / "reached"
    bench.run_up_to_count(run_id="signal")
    for method, code in (("terminate", 143), ("kill", 137)):
        marker.unlink(missing_ok=True)
        node = bench.start("count", "--set", f"behave=wait:{marker}", run_id="signal")
        assert int(wait_for(marker)) == node.pid
        getattr(node, method)()
        assert node.wait(30) == code
    assert bench.run("count", run_id="signal") == 0


def test_a_client_that_is_killed_takes_its_node_down(bench: Bench, tmp_path: Path) -> None:
    marker = tmp_path / "reached"
    bench.run_up_to_count(run_id="orphan")
    client = os.fork()
    if client == 0:
        node = bench.start("count", "--set", f"behave=wait:{marker}", run_id="orphan")
        time.sleep(60)
        os._exit(0 if node else 1)
    pid = int(wait_for(marker))
    os.kill(client, signal.SIGKILL)
    os.waitpid(client, 0)
    until(lambda: not Path(f"/proc/{pid}").exists())
    assert bench.outcome("count", "orphan").exit_code == 143


def test_several_nodes_at_once(bench: Bench) -> None:
    for number in range(4):
        bench.run_up_to_count(run_id=f"many{number}")
    started = time.monotonic()
    nodes = [
        bench.start("count", "--skip-cache", "--set", f"behave=slow:{3 + number / 1000}", run_id=f"many{number}")
        for number in range(3)
    ]
    # Three runs of one day take turns at a node; another node of the fourth does not wait for them.
    assert bench.run("schema", run_id="many3") == 0
    assert time.monotonic() - started < 8
    assert [node.wait() for node in nodes] == [0, 0, 0]


def test_memory_comes_back_and_idling_costs_nothing(bench: Bench) -> None:
    assert bench.worker is not None
    until(lambda: children(bench) == [])
    process = Path(f"/proc/{bench.worker.pid}")
    before = resident_bytes(process)
    bench.run_up_to_count("--skip-cache", run_id="memory")
    until(lambda: children(bench) == [])
    assert resident_bytes(process) - before < 20 * 2**20
    ticks = cpu_ticks(process)
    time.sleep(2)
    assert cpu_ticks(process) == ticks


def resident_bytes(process: Path) -> int:
    return int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_ticks(process: Path) -> int:
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_changed_user_code_is_picked_up_without_a_restart(bench: Bench) -> None:
    bench.run_up_to_count(run_id="code1")
    pid = ping(bench.socket)
    before = started_at(bench)
    nodes = bench.settings.home / "tests" / "pipelines" / "tiny" / "nodes.py"
    nodes.write_text(nodes.read_text().replace('VERSION = "one"', 'VERSION = "two"'))
    bench.run_up_to_count(run_id="code2")
    outcome = bench.outcome("count", "code2")
    assert Path(outcome.outputs["rows"][0].uri, "rows.txt").read_text() == f"{DAY} 0 two"
    assert "code of tests.pipelines.tiny.nodes changed" in outcome.cache
    assert (ping(bench.socket), started_at(bench)) == (pid, before), "the worker is still the same"


def test_changed_platform_code_makes_the_worker_start_again(bench: Bench, tmp_path: Path) -> None:
    marker = tmp_path / "reached"
    bench.run_up_to_count(run_id="platform")
    before = started_at(bench)
    running = bench.start("count", "--set", f"behave=wait:{marker}", run_id="platform")
    wait_for(marker)
    errors = bench.settings.home / "pipelines" / "errors.py"
    errors.write_text(errors.read_text().replace("exit_code = 65", "exit_code = 66"))
    assert bench.run_up_to_count("--set", "behave=data", run_id="platform2", day="2026-01-06") == 66
    assert started_at(bench) == before + 1
    running.terminate()
    assert running.wait(30) == 143, "the node from before the change went on, and is still in reach"


def started_at(bench: Bench) -> int:
    """How often the worker became ready."""
    return (bench.folder / "worker.log").read_text().count("ready after")


def test_a_killed_worker_fails_its_node_cleanly(bench: Bench, tmp_path: Path) -> None:
    assert bench.worker is not None
    marker = tmp_path / "reached"
    bench.run_up_to_count(run_id="dead")
    node = bench.start("count", "--set", f"behave=wait:{marker}", run_id="dead")
    pid = int(wait_for(marker))
    bench.worker.kill()
    bench.worker.wait()
    assert node.wait(30) == WORKER_DIED
    until(lambda: not Path(f"/proc/{pid}").exists())
    cold = bench.start("count", run_id="dead")
    assert not cold.warm
    assert cold.wait(READY_SECS) == 0, bench.output()
    bench.launch_worker()  # finds the dead worker's socket
    assert bench.run("count", run_id="dead") == 0


def test_a_second_worker_is_refused(bench: Bench) -> None:
    command = [sys.executable, "-m", "pipelines.worker", "--socket", str(bench.socket)]
    second = subprocess.run(command, cwd=bench.settings.home, capture_output=True, text=True, check=False)
    assert second.returncode == 78
    assert "already" in second.stderr


def test_nonsense_does_not_hurt(bench: Bench) -> None:
    for content in (b"", b"\n", b"not json\n", b'{"signal": 9}\n', b'{"argv": 3}\n', b"x" * 100_000):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(bench.socket))
            connection.sendall(content)
    assert ping(bench.socket, timeout_secs=10) is not None


def test_sigterm_ends_worker_and_nodes_gracefully(bench: Bench, tmp_path: Path) -> None:
    assert bench.worker is not None
    marker = tmp_path / "reached"
    bench.run_up_to_count(run_id="stop")
    node = bench.start("count", "--set", f"behave=wait:{marker}", run_id="stop")
    wait_for(marker)
    bench.worker.terminate()
    assert node.wait(30) == 143
    assert bench.worker.wait(30) == 0
    assert not bench.socket.exists()
    assert bench.outcome("count", "stop").exit_code == 143
