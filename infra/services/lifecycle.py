"""`daybreak up`, `down`, `restart`: what is asked for is made true, whatever was there before."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from infra.services import airflow, leftovers, postgres
from infra.services.configuration import (
    AIRFLOW_PORT_VARIABLE,
    GATEWAY_PORT_VARIABLE,
    MLFLOW_PORT_VARIABLE,
    Configuration,
)
from infra.services.credentials import Services, read_or_generate, read_services
from infra.services.ports import WantedPort, check_ports_free
from infra.services.probes import Health, probe
from infra.services.programs import AIRFLOW_PROGRAMS, Program, base_environment, listening, programs
from infra.services.sockets import make_socket_folders, remove_socket_folders
from infra.services.supervisor import Supervisor
from pipelines.errors import ResourceError, SpecError, TransientError
from pipelines.settings import Settings

Report = Callable[[str], None]
HEALTHY_TIMEOUT_SECS = 300.0
"""MLflow took 77 s on a loaded machine, the worker imports for up to a minute."""
GRACE_SECS = 10.0
POLL_SECS = 0.5


def bring_up(configuration: Configuration, *, report: Report) -> tuple[Services, bool]:
    """Starts what is missing and waits until all is healthy; returns the services and whether credentials are new.

    Raises:
      ResourceError: a port is taken, an environment is not built, PostgreSQL's user cannot reach its folder.
      TransientError: something did not get healthy in time.
    """
    settings = configuration.settings
    _check_environments(configuration)
    settings.logs.mkdir(parents=True, exist_ok=True)
    with _alone(settings):
        supervisor = Supervisor(configuration)
        if supervisor.pid() is None:
            _end_leftovers(configuration, report=report)
        _check_ports(configuration, supervisor)
        services, created = read_or_generate(configuration)
        if configuration.embedded_postgres:
            postgres.prepare(configuration, services, new_password=created)
        owner = postgres.os_user() if configuration.embedded_postgres else None
        make_socket_folders(configuration.sockets, postgres_owner=owner.pw_uid if owner else None)
        wanted = programs(configuration, services)
        supervisor.ensure(wanted)
        _start_in_order(configuration, services, supervisor=supervisor, wanted=wanted, report=report)
    return services, created


def _start_in_order(
    configuration: Configuration,
    services: Services,
    *,
    supervisor: Supervisor,
    wanted: Sequence[Program],
    report: Report,
) -> None:
    names = [program.name for program in wanted]
    watch = _Watch(configuration, services, supervisor=supervisor, report=report)
    if "postgres" in names:
        watch.start(["postgres"])
        watch.wait(["postgres"])
    postgres.make_databases(services.database)
    watch.start([name for name in names if name in ("mlflow", "worker", "gateway")])
    if "api-server" in names:
        base = base_environment(configuration.settings)
        if airflow.prepare(configuration, services, base=base):
            report("airflow: database migrated")
        watch.start(AIRFLOW_PROGRAMS)
    watch.wait([name for name in names if name != "postgres"])
    if "api-server" in watch.started:
        airflow.make_pool(configuration, services)
    if not watch.told:
        report("everything runs already")


class _Watch:
    """Starts programs, then waits for their probes and tells how long each took."""

    def __init__(
        self, configuration: Configuration, services: Services, *, supervisor: Supervisor, report: Report
    ) -> None:
        self._configuration, self._services = configuration, services
        self._supervisor, self._report = supervisor, report
        self.started: dict[str, float] = {}
        self.told = 0

    def start(self, names: Sequence[str]) -> None:
        for name in names:
            if self._supervisor.start(name):
                self.started[name] = time.monotonic()

    def wait(self, names: Sequence[str]) -> None:
        """Raises `TransientError` when one of them is not healthy in time, or the supervisor gave it up."""
        begin = time.monotonic()
        waiting, was_ill = list(names), set[str]()
        while True:
            health = {name: self._probe(name) for name in waiting}
            for name in waiting:
                if health[name].ok and (name in self.started or name in was_ill):
                    self._tell(name, begin=begin)
            waiting = [name for name in waiting if not health[name].ok]
            if not waiting:
                return
            was_ill.update(waiting)
            if time.monotonic() - begin > HEALTHY_TIMEOUT_SECS:
                self._give_up({name: health[name] for name in waiting})
            time.sleep(POLL_SECS)

    def _probe(self, name: str) -> Health:
        info = self._supervisor.processes().get(name)
        if info is None or info.state == "FATAL":
            self._give_up({name: Health(False, info.detail if info else "the supervisor is gone")})
        if not info.running:
            return Health(False, info.detail)
        return probe(name, self._configuration, self._services)

    def _tell(self, name: str, *, begin: float) -> None:
        self.told += 1
        again = "" if name in self.started else "again "
        self._report(f"{name}: healthy {again}after {time.monotonic() - self.started.get(name, begin):.1f} s")

    def _give_up(self, unhealthy: dict[str, Health]) -> NoReturn:
        logs = self._configuration.settings.logs
        problems = "; ".join(f"{name}: {health.detail or 'no answer'}" for name, health in unhealthy.items())
        files = " ".join(str(logs / f"{name}.log") for name in unhealthy)
        raise TransientError(f"not healthy: {problems}", fix=f"read {files}, then run `daybreak up` again")


def bring_down(configuration: Configuration, *, report: Report) -> int:
    """Ends everything of this state folder, also what a killed supervisor left; returns how many leftovers there were.

    Raises `ResourceError` when a process could not be ended.
    """
    settings = configuration.settings
    if not settings.state.exists():
        report("nothing was ever started here")
        return 0
    with _alone(settings):
        supervisor = Supervisor(configuration)
        if supervisor.pid() is not None:
            report("stopping, the databases last")
            supervisor.shut_down()
        ended = _end_leftovers(configuration, report=report)
        remove_socket_folders(configuration.sockets)
    report("nothing is running")
    return ended


def restart(configuration: Configuration, name: str, *, report: Report) -> None:
    """Restarts one program, or all of Airflow with `airflow`. Raises `SpecError` for a name that is none."""
    services = read_services(configuration.settings)
    supervisor = Supervisor(configuration)
    known = list(supervisor.processes())
    if not known:
        raise ResourceError("no services are running", fix="run `daybreak up`")
    names = [part for part in AIRFLOW_PROGRAMS if part in known] if name == "airflow" else [name]
    if not names or not set(names) <= set(known):
        raise SpecError(f"NAME must be one of {', '.join([*known, 'airflow'])}. Received: {name}", fix="correct it")
    with _alone(configuration.settings):
        watch = _Watch(configuration, services, supervisor=supervisor, report=report)
        supervisor.stop(names)
        watch.start(names)
        watch.wait(names)


def _check_environments(configuration: Configuration) -> None:
    needed = {"worker": "ml", "airflow": "orchestrator"}
    for service, environment in needed.items():
        if service not in configuration.without and not configuration.settings.python(environment).exists():
            raise ResourceError(
                f"{service} needs the environment {environment!r}. "
                f"Received: no {configuration.settings.python(environment)}",
                fix=f"run `make env`, or go without: `daybreak up --without {service}`",
            )


def _check_ports(configuration: Configuration, supervisor: Supervisor) -> None:
    """Ports of programs that run under our supervisor are ours already, unless they move."""
    known = replace(configuration.settings).services  # not what was cached before the last `up`
    ours = {name for name, info in supervisor.processes().items() if info.running}
    details = {
        "api-server": ("airflow", AIRFLOW_PORT_VARIABLE, "--airflow-port"),
        "mlflow": ("mlflow", MLFLOW_PORT_VARIABLE, "--mlflow-port"),
        "gateway": ("gateway", GATEWAY_PORT_VARIABLE, ""),
    }
    wanted = []
    for program, port in listening(configuration).items():
        service, variable, flag = details[program]
        if program in ours and known.get(service, {}).get("port") == port:
            continue
        wanted.append(WantedPort(service=service, port=port, variable=variable, flag=flag))
    check_ports_free(wanted)


def _end_leftovers(configuration: Configuration, *, report: Report) -> int:
    """Only called without a supervisor, so whatever is tagged as ours is an orphan."""
    left = leftovers.tagged(str(configuration.settings.state), extra=_postmaster(configuration))
    if not left:
        return 0
    report(f"ending {len(left)} processes that a killed supervisor left behind")
    stubborn = leftovers.end(left, grace_secs=GRACE_SECS)
    if stubborn:
        raise ResourceError(
            f"processes {sorted(stubborn)} cannot be ended", fix="end them as the user who started them"
        )
    return len(left)


def _postmaster(configuration: Configuration) -> list[int]:
    """PostgreSQL's own record of its process, when it is still that program."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int((postgres.data_folder(configuration) / "postmaster.pid").read_text().splitlines()[0])
        if Path(f"/proc/{pid}/comm").read_text().strip() == "postgres":
            return [pid]
    return []


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Two `up` at once: the second waits, then finds everything running."""
    settings.state.mkdir(parents=True, exist_ok=True)
    with (settings.state / "services.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
