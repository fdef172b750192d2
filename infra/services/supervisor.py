"""supervisord: its configuration file, and talking to it over a Unix socket.

supervisor = Supervisor(configuration)
supervisor.ensure(programs)         # started, or told about what changed
supervisor.start("postgres")
supervisor.shut_down()
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from infra.services import launch
from infra.services.configuration import Configuration
from infra.services.programs import Program, base_environment
from pipelines.errors import SpecError, TransientError
from pipelines.manifest import write_atomically

LOG_BYTES, LOG_BACKUPS = 10_000_000, 3
START_TIMEOUT_SECS = 30.0
NO_ANSWER = (OSError, HTTPException, xmlrpc.client.ProtocolError)


@dataclass(frozen=True)
class ProcessInfo:
    name: str
    state: str
    """STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN."""
    pid: int
    seconds: int
    """Since it was started."""
    detail: str

    @property
    def running(self) -> bool:
        """STARTING is a process younger than `startsecs`."""
        return self.state in ("RUNNING", "STARTING")


def render(configuration: Configuration, programs: Sequence[Program]) -> str:
    """The configuration file; it holds no credentials."""
    _check_readable(configuration)
    root = ["user=root"] if os.geteuid() == 0 else []
    sections = {
        "unix_http_server": [f"file={_escape(configuration.supervisor_socket)}", "chmod=0700"],
        "supervisord": [
            f"logfile={_escape(configuration.settings.logs / 'supervisord.log')}",
            f"logfile_maxbytes={LOG_BYTES}",
            f"logfile_backups={LOG_BACKUPS}",
            f"pidfile={_escape(configuration.settings.state / 'supervisord.pid')}",
            f"childlogdir={_escape(configuration.settings.logs)}",
            "minfds=4096",
            *root,
        ],
        "rpcinterface:supervisor": ["supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface"],
    }
    sections |= {f"program:{program.name}": _program(program, configuration) for program in programs}
    return "\n".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections.items())


def _check_readable(configuration: Configuration) -> None:
    for path in (configuration.settings.home, configuration.settings.state, Path(sys.executable)):
        if re.search(r"\s[;#]|[\n\r\"]", str(path)):
            raise SpecError(
                f"supervisord cannot read a path with a quote, a line break, or a comment sign after a space. Received: {path}",
                fix="move the clone, or choose DAYBREAK_STATE",
            )


def program_file(configuration: Configuration, name: str) -> Path:
    """What `launch.py` reads."""
    return configuration.settings.state / "programs" / f"{name}.json"


def _content(program: Program) -> bytes:
    document = {"name": program.name, "command": program.command, "environment": program.environment}
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def _command(program: Program, configuration: Configuration) -> tuple[str, ...]:
    if not program.launched:
        return program.command
    digest = hashlib.sha256(_content(program)).hexdigest()[:16]
    return (sys.executable, "-I", "-S", launch.__file__, str(program_file(configuration, program.name)), digest)


def _program(program: Program, configuration: Configuration) -> list[str]:
    logs = configuration.settings.logs
    return [
        f"command={' '.join(_quote(part) for part in _command(program, configuration))}",
        f"directory={_escape(program.folder)}",
        f"priority={program.priority}",
        f"stdout_logfile={_escape(_escape(logs / f'{program.name}.log'))}",  # supervisord expands this one twice
        f"stdout_logfile_maxbytes={LOG_BYTES}",
        f"stdout_logfile_backups={LOG_BACKUPS}",
        "redirect_stderr=true",
        "autostart=false",  # `daybreak up` starts them in order, each when what it needs is healthy
        "autorestart=true",
        "startsecs=2",
        "startretries=10",
        f"stopsignal={program.stop_signal}",
        f"stopwaitsecs={program.stop_wait_secs}",
        "killasgroup=true",
        *([f"user={program.user}"] if program.user else []),
    ]


def _escape(text: object) -> str:
    return str(text).replace("%", "%%")


def _quote(text: str) -> str:
    """For supervisord's reader: `%` is expanded, then shell words are split."""
    return '"' + _escape(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


class Supervisor:
    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    @property
    def _rpc(self) -> Any:
        # A new one for each call: a connection that failed once refuses every later request.
        transport = SupervisorTransport(None, None, f"unix://{self._configuration.supervisor_socket}")
        return xmlrpc.client.ServerProxy("http://localhost", transport=transport).supervisor

    def pid(self) -> int | None:
        """None when no supervisor answers."""
        try:
            return int(self._rpc.getPID())
        except NO_ANSWER:
            return None

    def ensure(self, programs: Sequence[Program]) -> None:
        """A running supervisor that knows exactly these programs; those that changed are stopped."""
        for program in programs:
            if program.launched:
                write_atomically(program_file(self._configuration, program.name), _content(program), mode=0o600)
        content = render(self._configuration, programs).encode()
        file = self._configuration.supervisor_file
        unchanged = file.exists() and file.read_bytes() == content
        if not unchanged:
            write_atomically(file, content, mode=0o600)
        if self.pid() is None:
            self._launch()
        elif not unchanged:
            self._reload()

    def _launch(self) -> None:
        # Its children inherit this environment: caches, proxies and cloud credentials of the user's shell.
        settings = self._configuration.settings
        environment = base_environment(settings)
        settings.temporary.mkdir(parents=True, exist_ok=True)
        log = settings.logs / "supervisord.log"
        with (log.parent / "supervisord.out").open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "-n", "-s", "-c", self._configuration.supervisor_file],
                env=environment,
                cwd=settings.state,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT_SECS
        while self.pid() is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise TransientError(
                    f"the supervisor did not start: {_last_line(Path(out.name)) or _last_line(log)}",
                    fix=f"read {log}, then run `daybreak up` again",
                )
            time.sleep(0.1)

    def _reload(self) -> None:
        added, changed, removed = self._rpc.reloadConfig()[0]
        for name in [*changed, *removed]:
            self._rpc.stopProcessGroup(name)
            self._rpc.removeProcessGroup(name)
        for name in [*changed, *added]:
            self._rpc.addProcessGroup(name)

    def processes(self) -> Mapping[str, ProcessInfo]:
        """By name; empty when no supervisor answers."""
        try:
            found = self._rpc.getAllProcessInfo()
        except NO_ANSWER:
            return {}
        return {
            info["name"]: ProcessInfo(
                name=info["name"],
                state=info["statename"],
                pid=info["pid"],
                seconds=max(0, info["now"] - info["start"]) if info["pid"] else 0,
                detail=info["spawnerr"] or info["description"],
            )
            for info in found
        }

    def start(self, name: str) -> bool:
        """False when it was running or starting already."""
        info = self.processes().get(name)
        if info and info.running:
            return False
        try:
            self._rpc.startProcess(name, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" in fault.faultString:
                return False
            raise TransientError(
                f"{name} could not be started: {fault.faultString}",
                fix=f"read {self._configuration.settings.logs / f'{name}.log'}",
            ) from fault
        return True

    def stop(self, names: Sequence[str]) -> None:
        """All at once, and waits until they ended; the supervisor kills those that take too long."""
        for name in names:
            with contextlib.suppress(xmlrpc.client.Fault):
                self._rpc.stopProcess(name, False)
        while any(
            info.state in ("RUNNING", "STOPPING", "STARTING")
            for info in self.processes().values()
            if info.name in names
        ):
            time.sleep(0.1)

    def shut_down(self) -> None:
        """Stops the programs, PostgreSQL last, then the supervisor; nothing happens when there is none."""
        pid = self.pid()
        if pid is None:
            return
        self.stop([name for name in self.processes() if name != "postgres"])
        self.stop(["postgres"])
        with contextlib.suppress(xmlrpc.client.Fault, *NO_ANSWER):
            self._rpc.shutdown()
        with contextlib.suppress(psutil.NoSuchProcess):
            while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.1)


def _last_line(path: Path) -> str:
    with contextlib.suppress(OSError):
        lines = path.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
    return ""
