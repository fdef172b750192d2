"""One cluster of this installation: its folder, its ports, its programs.

cluster = Cluster.of("flink", settings)
cluster.ports["web"], cluster.programs()
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from infra.services.configuration import HOST, Configuration
from infra.services.ports import is_free
from infra.services.programs import Program
from pipelines.cluster import cluster_file
from pipelines.manifest import write_atomically
from pipelines.settings import Settings

Kind = Literal["flink", "spark"]
PORTS = ("web", "master", "job", "artifact", "pool")
WORKERS = 2

# What Flink and Spark reach into since Java 17 closed it.
_OPENED = ("lang", "lang.invoke", "lang.reflect", "io", "net", "nio", "text", "time", "util", "util.concurrent")
_OPENED_DEEPER = (
    "java.util.concurrent.atomic",
    "java.util.concurrent.locks",
    "sun.nio.ch",
    "sun.nio.cs",
    "sun.util.calendar",
)
JAVA = (
    "-XX:+UseSerialGC",
    "-XX:+IgnoreUnrecognizedVMOptions",
    *(f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in _OPENED),
    *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED_DEEPER),
    "--add-opens=java.base/sun.security.action=ALL-UNNAMED",
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
)
LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.name = console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %-5p %c{1} - %m%n
# Prints every metric of every job.
logger.metrics.name = org.apache.beam.runners.flink.FlinkPipelineRunner
logger.metrics.level = WARN
"""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    kind: Kind
    settings: Settings
    java: str
    ports: Mapping[str, int]

    @classmethod
    def of(cls, kind: Kind, settings: Settings, *, java: str = "java") -> Cluster:
        """With the ports of the last `up`, or none."""
        return cls(kind=kind, settings=settings, java=java, ports=_known_ports(cluster_file(settings, kind)))

    def with_ports(self) -> Cluster:
        """The same ports as last time where they are free, others where not."""
        wanted = [self.ports.get(name, 0) for name in PORTS]
        return replace(self, ports=dict(zip(PORTS, free_ports(wanted), strict=True)))

    @property
    def folder(self) -> Path:
        return self.settings.state / "cluster" / self.kind

    @property
    def jars(self) -> Path:
        return self.folder / "jars"

    @property
    def conf(self) -> Path:
        return self.folder / "conf"

    @property
    def supervision(self) -> Configuration:
        """Of a supervisor of its own, so that `daybreak up` and `down` leave the cluster alone."""
        return Configuration.read(Settings(home=self.settings.home, state=self.folder), environ={})

    def address(self, port: str) -> str:
        return f"{HOST}:{self.ports[port]}"

    def programs(self) -> list[Program]:
        from infra.cluster import flink, spark

        ours = {"flink": flink.programs, "spark": spark.programs}[self.kind](self)
        return [*ours, self._worker_pool()]

    def java_program(
        self, name: str, main: Sequence[str], *, heap: str, flags: Sequence[str] = (), environment: Mapping[str, str]
    ) -> Program:
        logging = f"-Dlog4j2.configurationFile={self.conf / 'log4j2.properties'}"
        command = (self.java, *JAVA, f"-Xmx{heap}", logging, *flags, "-cp", f"{self.jars}/*", *main)
        return Program(name=name, command=command, environment=environment, folder=self.folder)

    def job_server(
        self, *, master: Sequence[str], flags: Sequence[str] = (), environment: Mapping[str, str]
    ) -> Program:
        source = Path(__file__).parent / self.kind / "JobServer.java"
        ports = ("--job-port", str(self.ports["job"]), "--artifact-port", str(self.ports["artifact"]))
        main = (str(source), *master, *ports, "--artifacts-dir", str(self.folder / "artifacts"))
        return self.java_program("job-server", main, heap="640m", flags=flags, environment=environment)

    def _worker_pool(self) -> Program:
        command = (str(self.settings.python("ml")), "-m", "pipelines.worker_pool", "--port", str(self.ports["pool"]))
        return Program(
            name="worker-pool",
            command=command,
            environment={"DAYBREAK_STATE": str(self.settings.state)},
            folder=self.settings.home,
            stop_wait_secs=30,
        )

    def write_files(self) -> None:
        from infra.cluster import flink

        files = {"log4j2.properties": LOGGING} | (flink.files(self) if self.kind == "flink" else {})
        for name, text in files.items():
            write_atomically(self.conf / name, text.encode())

    def announce(self) -> None:
        """What a node of a pipeline needs to use the cluster; `pipelines.cluster` reads it."""
        document = {
            "job_endpoint": self.address("job"),
            "worker_pool": self.address("pool"),
            "web": f"http://{self.address('web')}",
            "workers": WORKERS,
            "ports": dict(self.ports),
        }
        content = json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"
        write_atomically(cluster_file(self.settings, self.kind), content, mode=0o600)


def _known_ports(file: Path) -> dict[str, int]:
    try:
        return {name: int(port) for name, port in json.loads(file.read_bytes())["ports"].items()}
    except (OSError, ValueError, KeyError):
        return {}


def free_ports(wanted: Sequence[int]) -> list[int]:
    """Each wanted one when it is free, else one that the kernel chooses; 0 wants any."""
    with_sockets: list[tuple[int, socket.socket | None]] = []
    for port in wanted:
        if port and is_free(port):
            with_sockets.append((port, None))
            continue
        listener = socket.socket()
        listener.bind((HOST, 0))
        with_sockets.append((int(listener.getsockname()[1]), listener))
    for _, taken in with_sockets:
        if taken is not None:
            taken.close()
    return [port for port, _ in with_sockets]
