from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.services import launch, leftovers

INSTANCE = "/somewhere/of this test/state"


@pytest.fixture
def tagged_parent() -> Iterator[subprocess.Popen[bytes]]:
    """A tagged process with a child in its own session that has no tag."""
    code = (
        "import subprocess, sys, time; "
        "subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(120)'], env={}, start_new_session=True); "
        "time.sleep(120)"
    )
    environ = {**os.environ, "DAYBREAK_SERVICES": INSTANCE, "DAYBREAK_SERVICE": "scheduler"}
    process = subprocess.Popen([sys.executable, "-S", "-c", code], env=environ)
    try:
        _wait(lambda: len(leftovers.tagged(INSTANCE)) == 2)
        yield process
    finally:
        leftovers.end(leftovers.tagged(INSTANCE), grace_secs=5)
        process.wait()


def test_finds_children_that_dropped_the_tag(tagged_parent: subprocess.Popen[bytes]) -> None:
    found = leftovers.tagged(INSTANCE)
    assert tagged_parent.pid in found
    assert len(found) == 2


def test_another_installation_or_service_is_left_alone(tagged_parent: subprocess.Popen[bytes]) -> None:
    del tagged_parent
    assert leftovers.tagged(INSTANCE + "2") == set()
    assert leftovers.tagged(INSTANCE, service="worker") == set()
    assert len(leftovers.tagged(INSTANCE, service="scheduler")) == 2


def test_ends_what_ignores_the_polite_signal() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(120)"
    process = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    assert leftovers.end({process.pid}, grace_secs=0.5) == set()
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()


def test_never_finds_itself_or_who_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.getpid() not in leftovers.tagged(INSTANCE, extra=[os.getpid(), os.getppid()])
    assert os.getppid() not in leftovers.tagged(INSTANCE, extra=[os.getpid(), os.getppid()])


def test_launch_ends_leftovers_then_becomes_the_command(tagged_parent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    show = "import os; print(os.getpid(), os.environ['DAYBREAK_SERVICE'], os.environ['QUOTE'])"
    program = {
        "name": "scheduler",
        "command": [sys.executable, "-S", "-c", show],
        "environment": {"QUOTE": 'a "quote", 100% ; #and\nmore'},
    }
    (tmp_path / "scheduler.json").write_text(json.dumps(program))
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", launch.__file__, str(tmp_path / "scheduler.json"), "digest"],
        env={**os.environ, "DAYBREAK_SERVICES": INSTANCE},
        stdout=subprocess.PIPE,
        text=True,
    )
    output, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "ending 2 processes that the last scheduler left behind" in output
    assert f'{process.pid} scheduler a "quote", 100% ; #and\nmore\n' in output
    assert tagged_parent.wait(10) == -signal.SIGTERM


def _wait(condition: Callable[[], bool], *, patience_secs: float = 20) -> None:
    deadline = time.monotonic() + patience_secs
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
