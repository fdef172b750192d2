"""The whole installation: all seven programs, each killed once."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from itertools import chain

import httpx
import psutil
import pytest

from infra.services.airflow import POOL
from infra.services.airflow_api import AirflowAnswer, AirflowApi
from infra.services.credentials import AIRFLOW_USER
from infra.services.programs import AIRFLOW_PROGRAMS
from pipelines.settings import REPOSITORY, Settings
from tests.infra.installation import Installation, has_ended, reachable_folder

ALL = {"postgres", "mlflow", "worker", *AIRFLOW_PROGRAMS}
RECOVERY_SECS = 240

needs_environments = pytest.mark.skipif(
    not all(Settings(home=REPOSITORY, state=REPOSITORY).python(name).exists() for name in ("ml", "orchestrator")),
    reason="the ml and orchestrator environments are not built",
)
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500), needs_environments]


@pytest.fixture(scope="module")
def everything() -> Iterator[Installation]:
    folder = reachable_folder()
    made = Installation.in_folder(folder / "state", without=())
    try:
        made.up()
        yield made
    finally:
        made.down()
        left = made.processes()
        shutil.rmtree(folder, ignore_errors=True)
        assert left == set()


def test_all_are_healthy_on_loopback_only(everything: Installation) -> None:
    assert {name for name in ALL if not everything.healthy(name)} == set()
    connections = everything.ask_processes(lambda process: process.net_connections("tcp"))
    listening = {each.laddr.ip for each in chain.from_iterable(connections) if each.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_the_generated_credentials_open_airflow_and_others_do_not(everything: Installation) -> None:
    url, password = everything.configuration.airflow_url, everything.services.secrets.airflow_password
    with AirflowApi(url, user=AIRFLOW_USER, password=password) as api:
        pool = api.get(f"/pools/{POOL}")
        assert pool["slots"] == everything.configuration.cores
        with pytest.raises(AirflowAnswer) as caught:
            api.get("/dags/not_there")
        assert caught.value.status == 404
    assert httpx.post(f"{url}/auth/token", json={"username": AIRFLOW_USER, "password": "x"}).status_code == 401
    assert httpx.get(f"{url}/api/v2/dags").status_code == 401


def test_mlflow_refuses_a_foreign_host_name(everything: Installation) -> None:
    url = f"{everything.configuration.mlflow_url}/api/2.0/mlflow/experiments/search"
    assert httpx.post(url, json={"max_results": 1}).status_code == 200
    assert httpx.post(url, json={"max_results": 1}, headers={"Host": "evil.example"}).status_code == 403


def test_a_second_up_changes_nothing(everything: Installation) -> None:
    before = {name: info.pid for name, info in everything.supervisor.processes().items()}
    everything.said.clear()
    everything.up()
    assert everything.said == ["everything runs already"]
    assert {name: info.pid for name, info in everything.supervisor.processes().items()} == before


@pytest.mark.parametrize("name", sorted(ALL))
def test_each_comes_back_after_kill_9_without_its_former_children(everything: Installation, name: str) -> None:
    killed = psutil.Process(everything.pid(name))
    family = [killed, *killed.children(recursive=True)]
    os.kill(killed.pid, signal.SIGKILL)

    deadline = time.monotonic() + RECOVERY_SECS
    while not (everything.pid(name) not in (0, killed.pid) and all(everything.healthy(each) for each in ALL)):
        assert time.monotonic() < deadline, f"{name} did not come back"
        time.sleep(0.5)

    assert [process for process in family if process.is_running() and not has_ended(process.pid)] == []


def test_without_stops_what_is_left_out_and_up_brings_it_back(everything: Installation) -> None:
    everything.without = ("airflow",)
    everything.up()
    assert set(everything.supervisor.processes()) == {"postgres", "mlflow", "worker"}
    everything.without = ()
    everything.up()
    assert {name for name in ALL if not everything.healthy(name)} == set()
