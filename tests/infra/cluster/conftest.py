from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.cluster import jars
from infra.cluster.layout import Cluster, Kind
from infra.cluster.lifecycle import bring_down, bring_up, rows
from infra.java import FIX, find_java
from infra.services import leftovers
from infra.services.supervisor import Supervisor
from pipelines.errors import TransientError
from pipelines.settings import REPOSITORY, Settings
from tests.infra.installation import reachable_folder

TRIPS = Path(os.environ.get("DAYBREAK_TEST_DATA", "nowhere")) / "taxi" / "taxi_trips.csv"


HEAL_SECS = 120.0


@dataclass(frozen=True)
class Running:
    kind: Kind
    settings: Settings

    @property
    def cluster(self) -> Cluster:
        return Cluster.of(self.kind, self.settings)

    def pid(self, name: str) -> int:
        return Supervisor(self.cluster.supervision).processes()[name].pid

    def until_healthy(self) -> None:
        deadline = time.monotonic() + HEAL_SECS
        while not self.healthy():
            assert time.monotonic() < deadline
            time.sleep(0.5)

    def healthy(self) -> bool:
        found = rows(self.kind, self.settings)
        return bool(found) and all(row.ok for row in found)

    def processes(self) -> set[int]:
        return leftovers.tagged(str(self.cluster.folder))

    def start(self, kind: str, out: Path, *options: str) -> subprocess.Popen[str]:
        """Twenty elements on `kind`; local is the in-memory runner."""
        return self._start("aggregate", kind, str(out), *options)

    def start_stages(self, folder: Path, *options: str) -> subprocess.Popen[str]:
        """The Beam stages of a small day; see `stages.py`."""
        return self._start("stages", str(folder), *options)

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.settings.python("ml"), "-m", f"tests.infra.cluster.{module}", *arguments],
            env={**os.environ, "DAYBREAK_STATE": str(self.settings.state), "DAYBREAK_TAXI_CSV": str(TRIPS)},
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def stages(self, folder: Path, *options: str) -> tuple[int, str]:
        """The exit code and what was said, as a node would end."""
        process = self.start_stages(folder, *options)
        said, _ = process.communicate(timeout=800)
        return process.returncode, said

    def aggregate(self, kind: str, out: Path, *options: str) -> tuple[int, str]:
        """The exit code and what was said."""
        process = self.start(kind, out, *options)
        said, _ = process.communicate(timeout=280)
        return process.returncode, said


def running(kind: Kind) -> Iterator[Running]:
    """A cluster of its own; only the jars are those of this clone."""
    _, problem = find_java(os.environ)
    if problem or shutil.which("mvn") is None:
        pytest.skip(f"{problem or 'no `mvn` on the path'}; {FIX}")
    ours = Settings.from_environment()
    if not ours.python("ml").exists():
        pytest.skip("the ml environment is not built; make env")
    folder = reachable_folder()
    settings = Settings(home=REPOSITORY, state=folder)
    place = folder / "cluster" / kind
    place.mkdir(parents=True)
    try:
        (place / "jars").symlink_to(jars.fetch(kind, ours.state / "cluster" / kind, report=print))
    except TransientError as error:
        shutil.rmtree(folder)
        pytest.skip(str(error))
    made = Running(kind, settings)
    try:
        bring_up(kind, settings, report=print)
        yield made
    finally:
        bring_down(kind, settings, report=print)
        left = made.processes()
        shutil.rmtree(folder, ignore_errors=True)
        assert not left


@pytest.fixture(scope="module")
def flink() -> Iterator[Running]:
    yield from running("flink")


@pytest.fixture(scope="module")
def spark() -> Iterator[Running]:
    yield from running("spark")


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every stage of a small shop day on `local`, without a cluster."""
    folder = tmp_path_factory.mktemp("day")
    code, said = Running("flink", Settings(home=REPOSITORY, state=folder)).stages(folder, "--on", "local")
    assert code == 0, said
    return folder
