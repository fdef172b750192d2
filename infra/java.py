"""The JDK of this machine, for Flink and Spark. Standard library only: the doctor asks before any environment exists.

java, problem = find_java(os.environ)
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

OLDEST, NEWEST = 11, 17
"""Of which Flink 1.19 and Spark 3.5 run."""
FIX = "apt install openjdk-17-jdk-headless maven, or name a JDK: JAVA_HOME=/path/to/jdk-17"


def find_java(environ: Mapping[str, str]) -> tuple[str, str]:
    """The program and what is wrong with it; empty when nothing is. `JAVA_HOME` wins over the path."""
    home = environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java", path=environ.get("PATH")) or ""
    if not java or not Path(java).exists():
        return java, f"no `java` {f'in JAVA_HOME={home}' if home else 'on the path'}"
    version = _version(java)
    if not OLDEST <= version <= NEWEST:
        return java, f"{java} has version {version or 'unknown'}, needed: {OLDEST} to {NEWEST}"
    if "jdk.compiler@" not in _said(java, "--list-modules"):
        return java, f"{java} is a runtime without compiler, needed: a JDK"
    return java, ""


def _version(java: str) -> int:
    found = re.search(r'version "(?:1\.)?(\d+)', _said(java, "-version"))
    return int(found[1]) if found else 0


def _said(java: str, question: str) -> str:
    done = subprocess.run([java, question], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
