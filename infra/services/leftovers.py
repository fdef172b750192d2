"""Processes that outlived their supervisor, found by a tag in their environment. Standard library only.

    end(tagged("/home/me/daybreak/.daybreak", service="scheduler"), grace_secs=5)

Every service starts with `DAYBREAK_SERVICES=<state folder>` and `DAYBREAK_SERVICE=<name>`, which all its children
inherit, whoever adopts them after a `kill -9`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

INSTANCE_VARIABLE, SERVICE_VARIABLE = "DAYBREAK_SERVICES", "DAYBREAK_SERVICE"
PROC = Path("/proc")
POLL_SECS = 0.05


def tagged(instance: str, *, service: str | None = None, extra: Collection[int] = ()) -> set[int]:
    """Process ids of the services of one state folder, descendants of those and of `extra` included, without ours."""
    wanted = {_entry(INSTANCE_VARIABLE, instance)} | ({_entry(SERVICE_VARIABLE, service)} if service else set())
    parents: dict[int, int] = {}
    found = {pid for pid in extra if (PROC / str(pid)).exists()}
    for folder in PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            pid = int(folder.name)
            parents[pid] = _parent(folder)
            if wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                found.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid for pid in found - _ourselves(parents) if not _is_zombie(pid)}


def end(pids: Collection[int], *, grace_secs: float) -> set[int]:
    """Asks, then kills after the grace, databases after their clients; returns what is left even then."""
    databases = {pid for pid in pids if _name(pid) == "postgres"}
    left = _end(set(pids) - databases, number=signal.SIGTERM, grace_secs=grace_secs)
    # INT is PostgreSQL's fast shutdown; TERM would wait for its clients.
    return left | _end(databases, number=signal.SIGINT, grace_secs=grace_secs)


def _end(pids: set[int], *, number: signal.Signals, grace_secs: float) -> set[int]:
    for each in (number, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, each)
        deadline = time.monotonic() + grace_secs
        while pids and time.monotonic() < deadline:
            pids = {pid for pid in pids if (PROC / str(pid)).exists() and not _is_zombie(pid)}
            if pids:
                time.sleep(POLL_SECS)
    return pids


def _name(pid: int) -> str:
    try:
        return (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def _entry(variable: str, value: str) -> bytes:
    return os.fsencode(f"{variable}={value}")


def _parent(folder: Path) -> int:
    # The command name, in parentheses, may hold anything.
    return int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])


def _is_zombie(pid: int) -> bool:
    try:
        return (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


def _ourselves(parents: dict[int, int]) -> set[int]:
    """This process and its ancestors: a supervisor must not be ended by the program it starts."""
    chain, pid = set(), os.getpid()
    while pid and pid not in chain:
        chain.add(pid)
        pid = parents.get(pid, 0)
    return chain
