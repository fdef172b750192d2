"""Builds and locks the environments in `.venvs/`. Standard library only: it runs before any of them exists.

    python3 infra/environments.py build            # what is missing or outdated; nothing to do takes no time
    python3 infra/environments.py build services   # one of them
    python3 infra/environments.py lock             # pyproject.toml -> requirements/*.txt

Needs Python with pip; uv is fetched by it. On glibc 2.28 and later everything runs on Python 3.11; where glibc is at
least 2.39, Python 3.13 with the newest ml-metadata and TFDV works too, and is taken when there is no Python 3.11.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venvs"
REQUIREMENTS = ROOT / "requirements"
NAMES = ("services", "orchestrator", "ml")
COMPAT = ROOT / "infra" / "compat" / "tfx_bsl_sql_util"
"""A module that TFDV 1.16.1, the newest for glibc < 2.39, imports and tfx-bsl 1.21 no longer has."""


class Target(NamedTuple):
    version: str
    platform: str
    glibc: tuple[int, int]

    @property
    def suffix(self) -> str:
        return "py" + self.version.replace(".", "")


TARGETS = (
    Target("3.11", "x86_64-manylinux_2_28", (2, 28)),
    Target("3.13", "x86_64-manylinux_2_39", (2, 39)),
)


class Missing(Exception):
    """Something the machine lacks; the message names it and the fix."""


def glibc_version() -> tuple[int, int] | None:
    """None where the C library is another one, such as musl."""
    name, version = platform.libc_ver()
    try:
        major, minor = version.split(".")[:2]
        return (int(major), int(minor)) if name == "glibc" else None
    except ValueError:
        return None


def find_python(version: str, *, asked: str = "") -> str | None:
    """An interpreter of that version which really starts (a version manager's shim may not)."""
    for candidate in [asked, f"python{version}", sys.executable, "python3"]:
        program = shutil.which(candidate) if candidate else None
        if program and _version_of(program) == version:
            return program
    return None


def _version_of(program: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([program, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    except OSError:
        return ""
    return done.stdout.decode().strip() if done.returncode == 0 else ""


def choose_target(glibc: tuple[int, int] | None, *, asked: str = "") -> tuple[Target, str]:
    """The first target this machine can run, with its interpreter; `asked` is what `make env PYTHON=…` names."""
    if glibc is None or glibc < TARGETS[0].glibc:
        found = "no glibc" if glibc is None else "glibc {}.{}".format(*glibc)
        raise Missing(
            f"the locked wheels need Linux with glibc >= 2.28. Received: {found}\n"
            "  Fix: use Debian 10, Ubuntu 20.04, RHEL 8 or newer"
        )
    fitting = [target for target in TARGETS if glibc >= target.glibc]
    for target in sorted(fitting, key=lambda target: target.version != _version_of(asked) if asked else False):
        python = find_python(target.version, asked=asked)
        if python:
            return target, python
    versions = " or ".join(target.version for target in fitting)
    raise Missing(
        f"Python {versions} is needed. Received: {platform.python_version()} as {sys.executable}\n"
        f"  Fix: install it (apt install python3.11 python3.11-dev, or: uv python install 3.11), "
        "then: make env PYTHON=/path/to/python3.11"
    )


def build(names: Sequence[str], *, python: str = "") -> None:
    target, interpreter = choose_target(glibc_version(), asked=python)
    for name in names:
        stamp = VENVS / name / ".daybreak-stamp"
        wanted = _state(name, target=target, interpreter=interpreter)
        if stamp.exists() and stamp.read_text() == wanted:
            print(f"{name}: up to date", flush=True)
            continue
        if stamp.exists():
            stamp.unlink()  # an interrupted build must not look finished
        _build_one(name, target=target, interpreter=interpreter)
        stamp.write_text(wanted)
        print(f"{name}: built in {VENVS / name}", flush=True)


def _state(name: str, *, target: Target, interpreter: str) -> str:
    """What an environment was made of; another one means building again."""
    digest = hashlib.sha256()
    for path in [_lock_file(name, target), *sorted(COMPAT.rglob("*.py"))]:
        digest.update(path.read_bytes())
    digest.update(installed_sections((ROOT / "pyproject.toml").read_text(encoding="utf-8")).encode())
    return f"{target.version} {os.path.realpath(interpreter)} {ROOT} {digest.hexdigest()}\n"


def installed_sections(pyproject: str) -> str:
    """The tables that installing the project reads; a changed linter setting is no reason to build again."""
    kept, wanted = [], False
    for line in pyproject.splitlines():
        if line.startswith("["):
            wanted = line.strip("[] ").startswith(("build-system", "project", "tool.setuptools"))
        if wanted and line.strip():
            kept.append(line)
    return "\n".join(kept)


def _build_one(name: str, *, target: Target, interpreter: str) -> None:
    uv, folder = ensure_uv(), VENVS / name
    python = folder / "bin" / "python"
    if not python.exists() or _version_of(str(python)) != target.version:
        _run([uv, "venv", "--quiet", "--clear", "--python", interpreter, str(folder)])
    lock = _lock_file(name, target)
    install = [uv, "pip", "install", "--quiet", "--python", str(python), "--no-deps", "--no-build-isolation"]
    # Compiled here, importing tfx takes 9 s instead of 21 s in every process that does it first.
    _run([uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", "--python", str(python), str(lock)])
    if name == "ml" and target.version == "3.11":
        _run([*install, str(COMPAT)])
        for leftover in [COMPAT / "build", *COMPAT.glob("*.egg-info")]:
            shutil.rmtree(leftover, ignore_errors=True)
    _run([*install, "--editable", str(ROOT)])


def lock(names: Sequence[str], *, upgrade: bool = False) -> None:
    """Compiles each group for each target: hashed, and without the name of any host."""
    uv = ensure_uv()
    for name in names:
        for target in TARGETS:
            flags = ["--python-version", target.version, "--python-platform", target.platform, "--generate-hashes"]
            quiet = ["--quiet", "--no-emit-index-url", "--no-emit-find-links", *(["--upgrade"] if upgrade else [])]
            file = str(_lock_file(name, target).relative_to(ROOT))
            _run([uv, "pip", "compile", *flags, *quiet, "--group", name, "-o", file])
            print(f"{name}: {file}", flush=True)


def ensure_uv() -> str:
    """`.venvs/uv/bin/uv`, of the locked version; pip installs it when it is missing."""
    folder = VENVS / "uv"
    program, stamp, locked = folder / "bin" / "uv", folder / ".daybreak-stamp", REQUIREMENTS / "uv.txt"
    if program.exists() and stamp.exists() and stamp.read_text() == locked.read_text():
        return str(program)
    shutil.rmtree(folder, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes"]
    # --target works without venv's ensurepip and on "externally managed" system Pythons.
    _run([*pip, "--target", str(folder), "-r", str(locked)])
    stamp.write_text(locked.read_text())
    return str(program)


def _lock_file(name: str, target: Target) -> Path:
    return REQUIREMENTS / f"{name}-{target.suffix}.txt"


def _run(command: list[str]) -> None:
    VENVS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=VENVS) as temporary:  # uv leaves its lock files there
        done = subprocess.run(command, cwd=ROOT, env={**_environment(), "TMPDIR": temporary}, check=False)
    if done.returncode != 0:
        _stop(
            f"`{' '.join(command)}` ended with {done.returncode}\n  Fix: python3 infra/doctor.py says what this machine lacks"
        )


def _environment() -> dict[str, str]:
    left_out = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX")
    kept = {name: text for name, text in os.environ.items() if name not in left_out}
    defaults = {"UV_CACHE_DIR": str(VENVS / ".cache"), "UV_LINK_MODE": _link_mode(), "PIP_ROOT_USER_ACTION": "ignore"}
    return {**defaults, **kept}


def _link_mode() -> str:
    """Hard links from the cache are instant and free; across file systems uv would warn and copy."""
    cache = Path(os.environ.get("UV_CACHE_DIR") or VENVS)
    for folder in (cache, VENVS):
        folder.mkdir(parents=True, exist_ok=True)
    return "hardlink" if cache.stat().st_dev == VENVS.stat().st_dev else "copy"


def _stop(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(1)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Builds and locks the environments in .venvs/.")
    parser.add_argument("action", choices=("build", "lock"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(NAMES)}; by default all")
    parser.add_argument("--python", default="", help="the interpreter to build on")
    parser.add_argument("--upgrade", action="store_true", help="lock: newer versions where pyproject.toml allows them")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in NAMES]:
        parser.error(f"NAME must be one of {', '.join(NAMES)}. Received: {', '.join(unknown)}")
    try:
        if given.action == "build":
            build(given.names or NAMES, python=given.python)
        else:
            lock(given.names or NAMES, upgrade=given.upgrade)
    except Missing as error:
        _stop(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
