"""A real S3 server on loopback for tests: S3Proxy, its jars from Maven, pinned. Signatures are checked.

python -m tests.s3                      # fetches the jars, once
with s3_server() as server:
    os.environ.update(server.environ)   # AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …
    server.make_bucket("shop")
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.cluster import jars
from infra.java import FIX, find_java
from pipelines.settings import Settings

_START_SECS = 60.0
_LOGGING = """<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender">
<encoder><pattern>%d %level %logger{20} %msg%n</pattern></encoder></appender>
<root level="WARN"><appender-ref ref="out"/></root></configuration>"""


@dataclass
class Server:
    folder: Path
    port: int
    key: str
    secret: str
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def environ(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def make_bucket(self, name: str) -> Path:
        """Where its objects lie as files."""
        bucket = self.folder / "buckets" / name
        bucket.mkdir(parents=True)
        bucket.chmod(0o700)  # open to others is what the server takes for a public bucket
        return bucket

    def objects(self, bucket: str) -> list[str]:
        root = self.folder / "buckets" / bucket
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    def start(self) -> None:
        java, _ = find_java(os.environ)
        command = [java, "-Xmx128m", f"-Dlogback.configurationFile={self.folder}/logback.xml", "-cp", f"{_jars()}/*"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "org.gaul.s3proxy.Main", "--properties", str(self.folder / "properties")],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_SECS
        while not _listens(self.port):
            said = (self.folder / "log").read_text()[-1000:]
            assert self._process.poll() is None and time.monotonic() < deadline, f"S3Proxy did not start: {said}"
            time.sleep(0.2)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Requests are taken and not answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def missing(environ: Mapping[str, str]) -> str:
    """Why there can be no server here; empty when there can."""
    _, problem = find_java(environ)
    if problem:
        return f"{problem}; {FIX}"
    return "" if (_jars() / ".stamp").exists() else "the S3 server is not fetched: make test-storage"


def _jars() -> Path:
    return _place() / "jars"


def _place() -> Path:
    return Settings.from_environment({}).state / "cluster" / "s3"


def fetch() -> None:
    jars.fetch("s3", _place(), report=print)


@contextlib.contextmanager
def s3_server() -> Iterator[Server]:
    """Skips the test where there can be none."""
    if reason := missing(os.environ):
        pytest.skip(reason)
    fetch()
    folder = Path(tempfile.mkdtemp(prefix="s3-", dir="/tmp"))
    port = free_port()
    server = Server(folder, port, key=f"key{secrets.token_hex(8)}", secret=f"secret{secrets.token_hex(16)}")
    (folder / "buckets").mkdir()
    (folder / "logback.xml").write_text(_LOGGING)
    (folder / "properties").write_text(
        "s3proxy.authorization=aws-v2-or-v4\n"
        f"s3proxy.endpoint=http://127.0.0.1:{port}\n"
        f"s3proxy.identity={server.key}\ns3proxy.credential={server.secret}\n"
        f"jclouds.provider=filesystem-nio2\njclouds.filesystem.basedir={folder}/buckets\n"
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if problem := find_java(os.environ)[1]:
        raise SystemExit(f"{problem}; {FIX}")
    fetch()
