"""The examination of machines that lack something, and of the one the tests run on."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra import doctor
from infra.doctor import FAIL, OK, WARN, Finding, Machine, closed_folders, examine, render, this_machine


def machine(tmp_path: Path, **changes: Any) -> Machine:
    """This one, with an empty state folder and the changes."""
    return this_machine({**os.environ, "DAYBREAK_STATE": str(tmp_path / "state")})._replace(**changes)


def finding(found: list[Finding], name: str) -> Finding:
    return next(item for item in found if item.name == name)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_every_problem_comes_with_a_fix(tmp_path: Path) -> None:
    bad = machine(
        tmp_path,
        system="Darwin",
        glibc=(2, 17),
        memory_bytes=2 * 10**9,
        free_bytes=10**9,
        environ={"DAYBREAK_AIRFLOW_PORT": "http"},
        root=tmp_path,
    )
    problems = [item for item in examine(bad) if item.level != OK]
    assert {item.name for item in problems} >= {
        *("system", "glibc", "Python", "memory", "disk", "environments", "port of airflow")
    }
    assert all(item.fix for item in problems)


def test_old_and_unknown_c_libraries_are_refused(tmp_path: Path) -> None:
    assert finding(examine(machine(tmp_path, glibc=None)), "glibc").level == FAIL
    assert finding(examine(machine(tmp_path, glibc=(2, 27))), "glibc").level == FAIL
    assert finding(examine(machine(tmp_path, glibc=(2, 28))), "glibc").level == OK


def test_little_memory_warns_and_less_fails(tmp_path: Path) -> None:
    levels = [finding(examine(machine(tmp_path, memory_bytes=gb * 10**9)), "memory").level for gb in (4, 8, 16)]
    assert levels == [FAIL, WARN, OK]


def test_environments_that_are_not_built_need_disk_and_a_compiler(tmp_path: Path) -> None:
    fresh = machine(tmp_path, root=tmp_path, free_bytes=5 * 10**9)
    found = examine(fresh)
    assert finding(found, "disk").level == FAIL
    assert finding(found, "environments").fix == "make env"
    assert finding(found, "C++ compiler")
    for name in ("services", "orchestrator", "ml"):
        python = tmp_path / ".venvs" / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch()
    found = examine(fresh)
    assert finding(found, "disk").level == OK
    assert "C++ compiler" not in {item.name for item in found}


def test_a_missing_compiler_names_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name, **_: None if "++" in name else sys.executable)
    missing = finding(examine(machine(tmp_path, root=tmp_path)), "C++ compiler")
    assert missing.level == FAIL
    assert "g++" in missing.fix
    assert "-dev" in missing.fix


def test_a_taken_port_is_told_with_the_variable_that_moves_it(tmp_path: Path, taken_port: int) -> None:
    found = examine(machine(tmp_path, environ={"DAYBREAK_MLFLOW_PORT": str(taken_port)}))
    problem = finding(found, "port of mlflow")
    assert problem.level == FAIL
    assert str(taken_port) in problem.found
    assert "DAYBREAK_MLFLOW_PORT" in problem.fix


def test_a_port_of_a_dead_installation_counts_as_taken_and_of_a_running_one_as_ours(
    tmp_path: Path, taken_port: int
) -> None:
    state, control = tmp_path / "state", tmp_path / "s.sock"
    state.mkdir()
    (state / "services.json").write_text(
        f'{{"mlflow": {{"port": {taken_port}}}, "supervisor": {{"socket": "{control}"}}}}'
    )
    environ = {"DAYBREAK_MLFLOW_PORT": str(taken_port)}
    assert finding(examine(machine(tmp_path, environ=environ)), "port of mlflow").level == FAIL
    with socket.socket(socket.AF_UNIX) as supervisor:
        supervisor.bind(str(control))
        supervisor.listen()
        ours = finding(examine(machine(tmp_path, environ=environ)), "port of mlflow")
    assert ours.level == OK
    assert "this installation" in ours.found


def test_folders_another_user_may_not_enter_are_found(tmp_path: Path) -> None:
    closed = tmp_path / "home"
    (closed / "clone").mkdir(parents=True)
    for folder in [closed / "clone", *closed.parents]:
        if folder.stat().st_uid == os.geteuid() and folder.is_relative_to(tmp_path.parent):
            folder.chmod(0o755)
    closed.chmod(0o700)
    nobody = pwd.getpwnam("nobody").pw_name
    assert closed in closed_folders(closed / "clone" / "not-yet", user=nobody)
    closed.chmod(0o711)
    assert closed not in closed_folders(closed / "clone", user=nobody)


def test_only_root_needs_another_user_for_postgresql(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    as_root = machine(tmp_path, is_root=True, state=closed / "state", environ={})
    assert finding(examine(as_root), "PostgreSQL's user").level == (FAIL if os.geteuid() == 0 else OK)
    for other in ({"is_root": False}, {"environ": {"DAYBREAK_POSTGRES_URL": "postgresql://u:p@db/"}}):
        assert "PostgreSQL's user" not in {item.name for item in examine(as_root._replace(**other))}


def test_the_text_counts_what_must_be_mended() -> None:
    text = render([Finding(OK, "glibc", "2.36"), Finding(FAIL, "disk", "1 GB", "free some")])
    assert "[fail]" in text
    assert "Fix: free some" in text
    assert text.endswith("1 to mend before `make env` and `daybreak up` work")


def test_it_runs_on_a_bare_python(tmp_path: Path) -> None:
    """By path, isolated, from another folder: as `make doctor` does before any environment exists."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", doctor.__file__], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    assert "glibc" in done.stdout
    assert not done.stderr
