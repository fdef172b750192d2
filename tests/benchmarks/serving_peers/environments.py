"""Environments of the peers: not locked, newest versions, each with this one's TensorFlow.

bin = build(peer, environments)         # `<environments>/bench-<peer>/bin`; nothing to do when it is there
version_of(peer, bin)                   # "1.7.1"
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

from infra.environments import ensure_uv
from tests.benchmarks.serving_peers.peers import Peer


def build(peer: Peer, environments: Path) -> Path:
    """Raises `subprocess.CalledProcessError`, with what the installer said."""
    folder = environments / f"bench-{peer.distribution}"
    finished, uv = folder / ".finished", ensure_uv()
    if not finished.exists():
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        tensorflow = f"tensorflow-cpu=={importlib.metadata.version('tensorflow')}"
        python = str(folder / "bin" / "python")
        _run(
            [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, tensorflow, *peer.requirements]
        )
        finished.touch()
    return folder / "bin"


def version_of(peer: Peer, programs: Path) -> str:
    code = f"import importlib.metadata; print(importlib.metadata.version({peer.distribution!r}))"
    return _run([str(programs / "python"), "-c", code]).strip()


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
