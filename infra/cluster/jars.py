"""The jars of a cluster: resolved by Maven from a pinned list, each checked by its SHA-256, kept in `<state>/cluster`.

folder = fetch("flink", settings.state / "cluster" / "flink", report=print)
classpath = f"{folder}/*"
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from pipelines.errors import ResourceError, TransientError, bounded

HERE = Path(__file__).parent
TIMEOUT_SECS = 1200.0
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


def fetch(kind: str, folder: Path, *, report: Callable[[str], None]) -> Path:
    """The folder of jars; downloads only what is not there.

    Raises:
      ResourceError: Maven is not installed, or a jar is not the one that was pinned.
      TransientError: Maven could not reach its repository.
    """
    pinned, jars = read_pins(kind), folder / "jars"
    if _stamp(jars) == _digest(_pins_file(kind)):
        return jars
    report(f"{kind}: {len(pinned)} jars from Maven, once")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".jars-") as temporary:
        fresh = Path(temporary) / "jars"
        resolve(kind, fresh)
        check(fresh, pinned)
        (fresh / ".stamp").write_text(_digest(_pins_file(kind)), encoding="ascii")
        shutil.rmtree(jars, ignore_errors=True)
        os.replace(fresh, jars)
    return jars


def resolve(kind: str, folder: Path) -> None:
    """Runs Maven, which knows the mirrors and proxies of this machine."""
    if shutil.which("mvn") is None:
        raise ResourceError(
            "the jars of a cluster come from Maven. Received: no `mvn` on the path",
            fix="apt install maven openjdk-17-jdk-headless",
        )
    command = ["mvn", "-q", "-B", "-f", str(HERE / kind / "pom.xml"), _COPY]
    done = subprocess.run(
        [*command, "-DincludeScope=runtime", f"-DoutputDirectory={folder}"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECS,
        check=False,
        cwd=folder.parent,
    )
    if done.returncode != 0:
        said = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")] or done.stderr.splitlines()
        raise TransientError(
            f"Maven could not fetch the jars of {kind}: {bounded(said, limit=1)}",
            fix="check the network, or name your mirror in ~/.m2/settings.xml; then try again",
        )


def check(folder: Path, pinned: Mapping[str, str]) -> None:
    found = {path.name: _digest(path) for path in sorted(folder.glob("*.jar"))}
    wrong = sorted(name for name in {*found, *pinned} if found.get(name) != pinned.get(name))
    if wrong:
        raise ResourceError(
            f"every jar must be the pinned one. Received: {len(wrong)} others or missing: {bounded(wrong)}",
            fix="remove them from ~/.m2/repository and try again; after a change of pom.xml: python -m infra.cluster.jars",
        )


def read_pins(kind: str) -> dict[str, str]:
    """SHA-256 by file name; the file is one `sha256sum -c` reads."""
    lines = _pins_file(kind).read_text(encoding="ascii").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def pin(kind: str) -> int:
    """Writes the digests of what Maven resolves now: for whoever changed `pom.xml`."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "jars"
        resolve(kind, folder)
        lines = [f"{_digest(path)}  {path.name}\n" for path in sorted(folder.glob("*.jar"))]
    _pins_file(kind).write_text("".join(lines), encoding="ascii")
    return len(lines)


def _pins_file(kind: str) -> Path:
    return HERE / kind / "jars.sha256"


def _stamp(jars: Path) -> str:
    try:
        return (jars / ".stamp").read_text(encoding="ascii")
    except OSError:
        return ""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    for each in ("flink", "spark", "s3"):
        print(f"{each}: {pin(each)} jars")
