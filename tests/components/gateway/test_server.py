"""The process itself, with TensorFlow and a real log: killed, drained, without a disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.dataset as ds
import pytest

from components.assignment.split import Experiment, Model, PolicyTerms, Split, write_split
from tests.components.serving.conftest import rows  # noqa: F401

DECIDE, PREDICT, OUTCOMES = "/v1/models/shop:decide", "/v1/models/shop:predict", "/v1/outcomes"


def split_of(model: Path, *, version: int = 1, **changes: Any) -> Split:
    known: dict[str, Any] = {
        "model": "shop",
        "version": version,
        "written": time.time(),
        "ttl_secs": 3600.0,
        "unit": "user_id",
        "champion": "6",
        "models": (Model("6", str(model)), Model("7", str(model))),
        "experiment": Experiment("shop-17", "7", 0.5),
        "policy": PolicyTerms("shop-policy", "item", "position", 1.0, 0.2),
    }
    return Split(**known | changes)


class Server:
    def __init__(self, folder: Path, *options: str, split: Split | None = None) -> None:
        self.split, self.log, self._port = folder / "split.json", folder / "log", folder / "port"
        if split:
            write_split(self.split, split)
        command = [
            *(sys.executable, "-m", "components.gateway", "--split", str(self.split), "--log", str(self.log)),
            *("--port", "0", "--port-file", str(self._port), "--parent", str(os.getpid()), "--poll-secs", "0.05"),
            *("--name", "g1", *options),
        ]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        while not self._port.exists() and self.process.poll() is None:
            time.sleep(0.02)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self._port.read_text().strip()}", timeout=30)

    def wait_until_ready(self, client: httpx.Client) -> None:
        while client.get("/v2/health/ready").status_code != 200:
            assert self.process.poll() is None, self.process.stderr
            time.sleep(0.05)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


@pytest.fixture
def server(model: Path, tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path, "--drain-secs", "0.2", split=split_of(model))
    yield running
    running.process.kill()
    running.process.wait()


def body_of(row: dict[str, Any], unit: str) -> dict[str, Any]:
    return {"instances": [row | {"user_id": unit}]}


def list_of(candidates: list[dict[str, Any]], unit: str) -> dict[str, Any]:
    items = [{"item": f"i{number}", "price": row["price"]} for number, row in enumerate(candidates[:6])]
    return {"context": {"user_id": unit, "views": [1, 2]}, "candidates": items, "count": 3}


def logged(folder: Path, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ds.dataset(folder / kind, partitioning="hive").to_table().to_pylist()
    return found


def test_from_the_first_request_to_the_log_through_a_swap_and_a_corrupt_model(
    server: Server,
    model: Path,
    rows: list[dict[str, Any]],  # noqa: F811
    tmp_path: Path,
) -> None:
    statuses: list[int] = []
    done = threading.Event()

    def ask() -> None:
        with server.client() as client:
            while not done.is_set():
                unit = f"u{len(statuses)}"
                path, body = (PREDICT, body_of(rows[0], unit)) if len(statuses) % 2 else (DECIDE, list_of(rows, unit))
                statuses.append(client.post(path, json=body).status_code)

    with server.client() as client:
        server.wait_until_ready(client)
        answer = client.post(DECIDE, json=list_of(rows, "u1")).json()
        told = {"outcome_id": "o1", "decision_id": answer["decision_id"], "item_id": answer["items"][0]}
        told |= {"name": "clicked", "value": 1.0, "time": time.time()}
        assert client.post(OUTCOMES, json={"outcomes": [told]}).status_code == 200

        clients = [threading.Thread(target=ask) for _ in range(3)]
        for each in clients:
            each.start()
        new = shutil.copytree(model, tmp_path / "new")
        experiment = Experiment("shop-18", "8", 0.5)
        write_split(
            server.split,
            split_of(model, version=2, models=(Model("6", str(model)), Model("8", str(new))), experiment=experiment),
        )
        while client.get("/rollout").json()["split"]["version"] != 2:
            time.sleep(0.02)
        (corrupt := tmp_path / "corrupt").mkdir()
        (corrupt / "saved_model.pb").write_bytes(b"no model")
        models = (Model("6", str(model)), Model("9", str(corrupt)))
        write_split(server.split, split_of(model, version=3, models=models, experiment=Experiment("shop-19", "9", 0.5)))
        while not client.get("/rollout").json()["failure"]:
            time.sleep(0.02)
        assert client.get("/rollout").json()["split"]["version"] == 2
        done.set()
        for each in clients:
            each.join()
        assert client.get("/rollout").json()["log"]["lost"] == 0
    assert server.end() == 0
    assert set(statuses) == {200}
    exposures = logged(server.log, "exposures")
    assert len(exposures) == len(statuses) + 1
    assert {found["rollout_id"] for found in exposures} == {"shop-17", "shop-18"}
    assert {found["arm"] for found in exposures} == {"control", "treatment"}
    assert all(found["assigned_version"] == found["served_version"] for found in exposures)
    [outcome] = logged(server.log, "outcomes")
    assert outcome["decision_id"] in {found["decision_id"] for found in exposures}


def test_a_disk_that_refuses_the_log_costs_no_answer(model: Path, tmp_path: Path, rows: list[dict[str, Any]]) -> None:  # noqa: F811
    (tmp_path / "log").write_text("a file where the folder should be")
    server = Server(tmp_path, split=split_of(model))
    try:
        with server.client() as client:
            server.wait_until_ready(client)
            for number in range(20):
                assert client.post(PREDICT, json=body_of(rows[0], f"u{number}")).status_code == 200
            told = {"outcome_id": "o1", "decision_id": "d1", "name": "clicked", "value": 1.0}
            refused = client.post(OUTCOMES, json={"outcomes": [told]})
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert client.get("/rollout").json()["log"]["buffered"] == 20
            # The disk is back: nothing was lost.
            (tmp_path / "log").unlink()
            while client.get("/rollout").json()["log"]["exposures"] < 20:
                time.sleep(0.05)
            assert client.post(OUTCOMES, json={"outcomes": [told]}).status_code == 200
    finally:
        server.process.kill()
        server.process.wait()


def test_killed_it_loses_no_acknowledged_outcome(server: Server, rows: list[dict[str, Any]], tmp_path: Path) -> None:  # noqa: F811
    acknowledged = []
    with server.client() as client:
        server.wait_until_ready(client)
        for number in range(30):
            told = {"outcome_id": f"o{number}", "decision_id": "d1", "name": "clicked", "value": 1.0}
            if client.post(OUTCOMES, json={"outcomes": [told]}).status_code == 200:
                acknowledged.append(told["outcome_id"])
    server.process.kill()
    server.process.wait()
    subprocess.run([sys.executable, "-m", "components.exposures", "archive", str(server.log)], check=True)
    assert {found["outcome_id"] for found in logged(server.log, "outcomes")} == set(acknowledged)
    assert len(acknowledged) == 30


def test_it_listens_before_tensorflow_or_arrow_are_imported() -> None:
    code = "import sys, components.gateway.server; print(*(name in sys.modules for name in ('tensorflow', 'pyarrow', 'scipy')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["False", "False", "False"]
