"""The process itself: what it imports, when it is ready, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

PREDICT = "/v1/models/shop:predict"


class Server:
    def __init__(self, model: Path, folder: Path, *options: str) -> None:
        self._port_file = folder / "port"
        command = [sys.executable, "-m", "components.serving", "--model", str(model), "--name", "shop", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--port-file", str(self._port_file), "--parent", str(os.getpid()), *options],
            stderr=subprocess.PIPE,
        )
        while not self._port_file.exists() and self.process.poll() is None:
            time.sleep(0.02)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self._port_file.read_text().strip()}", timeout=30)


@pytest.fixture
def server(model: Path, tmp_path: Path) -> Iterator[Server]:
    running = Server(model, tmp_path, "--drain-secs", "0.5")
    yield running
    running.process.kill()
    running.process.wait()


def test_from_live_to_a_drained_end_no_request_is_lost(server: Server, rows: list[dict[str, Any]]) -> None:
    with server.client() as client:
        assert client.get("/v2/health/live").status_code == 200
        assert client.post(PREDICT, json={"instances": rows[:1]}).status_code == 503  # TensorFlow is being imported
        while client.get("/v2/health/ready").status_code != 200:
            assert server.process.poll() is None
            time.sleep(0.05)

    statuses: list[int] = []
    unready = threading.Event()

    def ask() -> None:
        with server.client() as client:
            # As a balancer does: until readiness says no.
            while not unready.is_set():
                statuses.append(client.post(PREDICT, json={"instances": rows[:1]}).status_code)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for each in clients:
        each.start()
    while len(statuses) < 40:
        time.sleep(0.01)
    server.process.send_signal(signal.SIGTERM)
    with server.client() as client:
        while client.get("/v2/health/ready").status_code == 200:
            time.sleep(0.01)
    unready.set()
    for each in clients:
        each.join()
    assert set(statuses) == {200}
    assert server.process.wait(20) == 0


def test_a_model_that_does_not_load_ends_the_server(tmp_path: Path) -> None:
    server = Server(tmp_path / "nothing", tmp_path)
    _, said = server.process.communicate(timeout=120)
    assert server.process.returncode == 78
    assert b"--model" in said and b"Fix:" in said


def test_a_port_that_is_taken_can_be_tried_again(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = Server(tmp_path, tmp_path, "--port", str(taken.getsockname()[1]))
        _, said = server.process.communicate(timeout=60)
    assert server.process.returncode == 74
    assert b"--port" in said


def test_it_listens_before_tensorflow_is_imported_and_never_needs_tfx() -> None:
    code = "import sys, components.serving.server; print(len(sys.modules), 'tensorflow' in sys.modules, 'httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    count, *heavy = done.stdout.split()
    assert heavy == ["False", "False"]
    assert int(count) < 450


def test_the_model_needs_tensorflow_and_nothing_around_it(model: Path) -> None:
    code = (
        "import sys; from components.serving import server;"
        "from components.serving.application import Application; application = Application(name='m', version='1');"
        f"server._load(application, {str(model)!r}); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    imported = set(done.stdout.split())
    assert not {"tfx", "tensorflow_transform", "apache_beam", "keras.src", "pyarrow", "pandas"} & imported
    assert len(imported) < 3000
