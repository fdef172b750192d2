"""Ports, files and programs of a cluster, before anything starts."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import get_args

import pytest

from infra.cluster.layout import PORTS, Cluster, Kind, free_ports
from pipelines.cluster import cluster_file
from pipelines.settings import REPOSITORY, Settings


def made(kind: Kind, tmp_path: Path) -> Cluster:
    return Cluster.of(kind, Settings(home=REPOSITORY, state=tmp_path)).with_ports()


def test_a_taken_port_is_given_up_and_a_free_one_kept() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        [moved] = free_ports([taken])
    [kept] = free_ports([moved])
    assert moved != taken
    assert kept == moved


def test_ports_differ_and_are_those_of_the_last_up(tmp_path: Path) -> None:
    cluster = made("flink", tmp_path)
    assert len(set(cluster.ports.values())) == len(PORTS)
    cluster.announce()
    assert Cluster.of("flink", cluster.settings).ports == cluster.ports
    announced = cluster_file(cluster.settings, "flink")
    assert announced.stat().st_mode & 0o077 == 0
    assert json.loads(announced.read_text())["job_endpoint"] == cluster.address("job")


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_address_is_on_loopback(kind: Kind, tmp_path: Path) -> None:
    cluster = made(kind, tmp_path)
    cluster.write_files()
    texts = [file.read_text() for file in cluster.conf.iterdir()]
    texts += [" ".join(program.command) for program in cluster.programs()]
    hosts = re.findall(r"(?:--host |host: |[./]address: |//)([\w.]+)", "\n".join(texts))
    assert len(hosts) >= 3
    assert set(hosts) == {"127.0.0.1"}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_two_workers_a_job_server_and_a_pool(kind: Kind, tmp_path: Path) -> None:
    names = [program.name for program in made(kind, tmp_path).programs()]
    assert len(set(names)) == len(names) == 5
    assert {"job-server", "worker-pool"} < set(names)
