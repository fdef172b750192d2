"""Says what this machine lacks, and how to mend it: `python3 infra/doctor.py`, `make doctor` or `daybreak doctor`.

    [ok]    glibc            2.36
    [fail]  C++ compiler     g++ was not found; pyfarmhash is built from source
                             Fix: apt install g++ python3.11-dev

Standard library only, because it is asked before any environment exists. Exit code 1 when something must be mended.
"""

from __future__ import annotations

import json
import os
import platform
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[0:0] = [] if str(ROOT) in sys.path else [str(ROOT)]

from infra import environments, java  # noqa: E402 - the line above lets them be found when this file is run by its path

OK, WARN, FAIL = "ok", "warn", "fail"
MEMORY_NEEDED_BYTES, MEMORY_ADVISED_BYTES = 6 * 10**9, 10 * 10**9
"""Airflow and PostgreSQL 1.0 GB, MLflow 0.4, the worker 1.5, and the nodes that run."""
DISK_BUILT_BYTES, DISK_FRESH_BYTES = 2 * 10**9, 12 * 10**9
"""For a few days of artifacts; before, for the environments and the package cache as well."""
OPEN_FILES_NEEDED = 4096
PORTS = {"airflow": ("DAYBREAK_AIRFLOW_PORT", 8080), "mlflow": ("DAYBREAK_MLFLOW_PORT", 5000)}
POSTGRES_USERS = ("postgres", "nobody")


class Finding(NamedTuple):
    level: str
    name: str
    found: str
    fix: str = ""


class Machine(NamedTuple):
    """What is asked, apart from the answers: so that a test can describe another machine."""

    system: str
    architecture: str
    glibc: tuple[int, int] | None
    memory_bytes: int
    free_bytes: int
    is_root: bool
    environ: Mapping[str, str]
    state: Path
    root: Path


def this_machine(environ: Mapping[str, str]) -> Machine:
    state = Path(environ.get("DAYBREAK_STATE") or ROOT / ".daybreak").resolve()
    return Machine(
        system=platform.system(),
        architecture=platform.machine(),
        glibc=environments.glibc_version(),
        memory_bytes=usable_memory_bytes(),
        free_bytes=shutil.disk_usage(_nearest(state)).free,
        is_root=os.geteuid() == 0,
        environ=environ,
        state=state,
        root=ROOT,
    )


def examine(machine: Machine) -> list[Finding]:
    checks: tuple[Callable[[Machine], list[Finding]], ...] = (
        _system,
        _glibc,
        _python,
        _compiler,
        _memory,
        _disk,
        _open_files,
        _environments,
        _ports,
        _postgres_user,
        _java,
    )
    return [finding for check in checks for finding in check(machine)]


def _system(machine: Machine) -> list[Finding]:
    found = f"{machine.system} {machine.architecture}"
    fine = (machine.system, machine.architecture) == ("Linux", "x86_64")
    fix = "" if fine else "the locked wheels are for Linux on x86_64: use such a machine or a container of it"
    return [Finding(OK if fine else FAIL, "system", found, fix)]


def _glibc(machine: Machine) -> list[Finding]:
    if machine.glibc is None:
        return [Finding(FAIL, "glibc", "not found (musl?)", "use a distribution with glibc >= 2.28, such as Debian")]
    text = "{}.{}".format(*machine.glibc)
    if machine.glibc < environments.TARGETS[0].glibc:
        return [Finding(FAIL, "glibc", f"{text}, needed: 2.28", "use Debian 10, Ubuntu 20.04, RHEL 8 or newer")]
    return [Finding(OK, "glibc", text)]


def _python(machine: Machine) -> list[Finding]:
    try:
        target, python = environments.choose_target(machine.glibc)
    except environments.Missing as error:
        problem, _, fix = str(error).partition("\n  Fix: ")
        return [Finding(FAIL, "Python", problem, fix)]
    findings = [Finding(OK, "Python", f"{target.version} at {python}")]
    pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    if pip.returncode != 0:
        findings.append(
            Finding(FAIL, "pip", f"{sys.executable} has none", "apt install python3-pip, or: python3 -m ensurepip")
        )
    return findings


def _compiler(machine: Machine) -> list[Finding]:
    """Only pyfarmhash has no wheel; an environment that is built needs no compiler any more."""
    if _is_built(machine, "ml"):
        return []
    version = _target_version(machine)
    packages = f"apt install g++ python{version}-dev (dnf install gcc-c++ python{version}-devel)"
    findings = []
    compiler = shutil.which(machine.environ.get("CXX", "") or "g++") or shutil.which("c++")
    if compiler is None:
        findings.append(Finding(FAIL, "C++ compiler", "g++ was not found; pyfarmhash is built from source", packages))
    else:
        findings.append(Finding(OK, "C++ compiler", compiler))
    header = _python_header(machine)
    if header is not None and not header.exists():
        findings.append(
            Finding(FAIL, "Python headers", f"{header} is missing; pyfarmhash is built from source", packages)
        )
    return findings


def _python_header(machine: Machine) -> Path | None:
    try:
        _, python = environments.choose_target(machine.glibc)
    except environments.Missing:
        return None
    code = "import sysconfig; print(sysconfig.get_path('include'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return Path(done.stdout.strip()) / "Python.h" if done.returncode == 0 else None


def _memory(machine: Machine) -> list[Finding]:
    found = f"{machine.memory_bytes / 1e9:.1f} GB"
    if machine.memory_bytes < MEMORY_NEEDED_BYTES:
        return [Finding(FAIL, "memory", f"{found}, needed: {MEMORY_NEEDED_BYTES / 1e9:.0f} GB", "use a larger machine")]
    if machine.memory_bytes < MEMORY_ADVISED_BYTES:
        return [
            Finding(
                WARN, "memory", found, "enough for small days; run without the worker: daybreak up --without worker"
            )
        ]
    return [Finding(OK, "memory", found)]


def _disk(machine: Machine) -> list[Finding]:
    built = all(_is_built(machine, name) for name in environments.NAMES)
    needed = DISK_BUILT_BYTES if built else DISK_FRESH_BYTES
    found = f"{machine.free_bytes / 1e9:.1f} GB free for {machine.state}"
    if machine.free_bytes < needed:
        fix = "free some, or choose another disk: DAYBREAK_STATE=/other/disk/daybreak"
        return [Finding(FAIL, "disk", f"{found}, needed: {needed / 1e9:.0f} GB", fix)]
    return [Finding(OK, "disk", found)]


def _open_files(machine: Machine) -> list[Finding]:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < OPEN_FILES_NEEDED:
        fix = f"raise it in /etc/security/limits.conf: {_user_name()} hard nofile {OPEN_FILES_NEEDED}"
        return [Finding(FAIL, "open files", f"at most {hard}, needed: {OPEN_FILES_NEEDED}", fix)]
    return [Finding(OK, "open files", "unlimited" if hard == resource.RLIM_INFINITY else f"at most {hard}")]


def _environments(machine: Machine) -> list[Finding]:
    missing = [name for name in environments.NAMES if not _is_built(machine, name)]
    if missing:
        return [Finding(WARN, "environments", f"not built yet: {', '.join(missing)}", "make env")]
    return [Finding(OK, "environments", f"{', '.join(environments.NAMES)} in {machine.root / '.venvs'}")]


def _ports(machine: Machine) -> list[Finding]:
    running = _runs(machine)
    findings = []
    for name, (variable, default) in PORTS.items():
        text = machine.environ.get(variable) or str(running.get(name, {}).get("port", default))
        if not text.isdecimal() or not 1 <= int(text) <= 65535:
            findings.append(Finding(FAIL, f"port of {name}", f"{variable}={text!r}", "give a number from 1 to 65535"))
        elif _is_free(int(text)):
            findings.append(Finding(OK, f"port of {name}", f"{text} is free"))
        elif running and running.get(name, {}).get("port") == int(text):
            findings.append(Finding(OK, f"port of {name}", f"{text}, in use by this installation"))
        else:
            fix = f"export {variable}=<another port>, or see who listens: ss -ltnp 'sport = :{text}'"
            findings.append(Finding(FAIL, f"port of {name}", f"{text} is taken by another program", fix))
    return findings


def _runs(machine: Machine) -> Mapping[str, Mapping[str, int]]:
    """The services this installation runs now; empty when its supervisor does not answer."""
    try:
        services: dict[str, dict[str, int]] = json.loads((machine.state / "services.json").read_text(encoding="utf-8"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(str(services["supervisor"]["socket"]))
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return services


def _postgres_user(machine: Machine) -> list[Finding]:
    """As root, PostgreSQL runs as another user, who must reach its binaries and its data."""
    if not machine.is_root or machine.environ.get("DAYBREAK_POSTGRES_URL"):
        return []
    users = [machine.environ.get("DAYBREAK_POSTGRES_OS_USER", ""), *POSTGRES_USERS]
    user = next((name for name in users if name and _exists(name)), None)
    if user is None:
        return [Finding(FAIL, "PostgreSQL's user", "none of " + ", ".join(POSTGRES_USERS), "useradd --system postgres")]
    closed = closed_folders(machine.root, machine.state, user=user)
    if closed:
        shown = ", ".join(str(folder) for folder in closed)
        fix = (
            "move the clone (or DAYBREAK_STATE) to a folder that others may enter, such as /srv or /opt; "
            f"or chmod o+x {' '.join(str(folder) for folder in closed)}; or run as an ordinary user"
        )
        return [Finding(FAIL, "PostgreSQL's user", f"as root it is {user}, who may not enter {shown}", fix)]
    return [Finding(OK, "PostgreSQL's user", user)]


def _java(machine: Machine) -> list[Finding]:
    """Only for `daybreak cluster`: a warning, never a failure."""
    path, problem = java.find_java(machine.environ)
    if not problem and shutil.which("mvn", path=machine.environ.get("PATH")) is None:
        problem = f"{path}, but no `mvn` on the path"
    if problem:
        return [Finding(WARN, "Java", f"{problem}; without it no local Flink or Spark", java.FIX)]
    return [Finding(OK, "Java", path)]


def closed_folders(*paths: Path, user: str) -> list[Path]:
    """Folders on the way to `paths` that the user may not enter, outermost first."""
    entry = pwd.getpwnam(user)
    found: dict[Path, None] = {}
    for path in paths:
        for folder in reversed([path, *path.parents]):
            if folder.is_dir() and not _may_enter(folder, uid=entry.pw_uid, gid=entry.pw_gid):
                found[folder] = None
    return list(found)


def _may_enter(folder: Path, *, uid: int, gid: int) -> bool:
    status = folder.stat()
    if status.st_uid == uid:
        return bool(status.st_mode & 0o100)
    return bool(status.st_mode & (0o010 if status.st_gid == gid else 0o001))


def usable_memory_bytes() -> int:
    """Of the machine, or less where a container's limit says so."""
    amounts = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal():
            amounts.append(int(text))
    return min(amounts)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _is_built(machine: Machine, name: str) -> bool:
    return (machine.root / ".venvs" / name / "bin" / "python").exists()


def _target_version(machine: Machine) -> str:
    try:
        return environments.choose_target(machine.glibc)[0].version
    except environments.Missing:
        return environments.TARGETS[0].version


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _nearest(path: Path) -> Path:
    return next(folder for folder in [path, *path.parents] if folder.exists())


def render(findings: Sequence[Finding]) -> str:
    width = max(len(finding.name) for finding in findings) + 2
    lines = []
    for finding in findings:
        lines.append(f"{f'[{finding.level}]':<8}{finding.name:<{width}}{finding.found}")
        if finding.fix:
            lines.append(f"{'':<{8 + width}}Fix: {finding.fix}")
    failed = sum(finding.level == FAIL for finding in findings)
    lines.append("nothing is missing" if not failed else f"{failed} to mend before `make env` and `daybreak up` work")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given:
        print(__doc__)
        return 0 if given in (["-h"], ["--help"]) else 2
    findings = examine(this_machine(os.environ))
    print(render(findings))
    return int(any(finding.level == FAIL for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
