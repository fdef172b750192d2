"""A day of the shop with its data and its artifacts on a real S3 server, by the command that Airflow runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.services.leftovers import tagged
from pipelines.outcome import State, read_outcomes
from tests.infra.installation import Installation, reachable_folder
from tests.s3 import Server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

DAY, ROWS = "2026-01-05", 20_000
_UPLOAD = """
import sys
from pathlib import Path
from pipelines import storage
root, uri = Path(sys.argv[1]), sys.argv[2]
storage.upload({path: f"{uri}/{path.relative_to(root)}" for path in root.rglob("*.parquet")})
"""


@pytest.fixture
def installation() -> Iterator[Installation]:
    """PostgreSQL and MLflow."""
    folder = reachable_folder()
    made = Installation.in_folder(folder / "state", without=("airflow", "worker"))
    try:
        made.up()
        yield made
    finally:
        made.down()
        assert not tagged(str(made.settings.state))
        shutil.rmtree(folder, ignore_errors=True)


def ml(installation: Installation, *command: str, environ: dict[str, str]) -> str:
    done = subprocess.run(
        [str(installation.settings.python("ml")), *command],
        cwd=installation.settings.home,
        env={**installation.environ(), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_a_day_of_the_shop_there_and_from_the_cache(
    installation: Installation, s3_server: Server, tmp_path: Path
) -> None:
    s3_server.make_bucket("shop")
    environ = {
        **s3_server.environ,
        "DAYBREAK_DATA": "s3://shop/raw",
        "DAYBREAK_ARTIFACTS": "s3://shop/daybreak",
    }
    settings = installation.settings
    ml(installation, "-m", "pipelines.shop.simulator", "--days", "1", "--start", DAY, "--rows", str(ROWS), environ={})
    ml(installation, "-c", _UPLOAD, str(settings.data / "shop"), "s3://shop/raw/shop", environ=environ)
    shutil.rmtree(settings.data)
    ml(installation, "-m", "pipelines.compile", "shop", environ=environ)
    manifest = str(settings.manifests / "shop.json")
    said = ""
    for run_id, state in (("run1", State.COMPLETE), ("run2", State.CACHED)):
        said += ml(
            installation,
            *("-m", "pipelines.node", "run-all", "--manifest", manifest, "--run-id", run_id, "--day", DAY),
            environ=environ,
        )
        outcomes = read_outcomes(settings, "shop", run_id)
        states = {name: one.state for name, one in outcomes.items() if name not in {"schema", "champion"}}
        assert states == dict.fromkeys(states, state), said[-4000:]
        made = [ref.uri for one in outcomes.values() for refs in one.outputs.values() for ref in refs]
        assert sum(uri.startswith("s3://shop/daybreak/") for uri in made) >= len(states)
        shutil.rmtree(settings.artifacts)  # the second run is on an empty machine
    secrets = [word.encode() for word in (s3_server.key, s3_server.secret)]
    files = [path for path in settings.state.rglob("*") if path.is_file() and not path.is_symlink()]
    found = [path for path in files if any(word in path.read_bytes() for word in secrets)]
    assert found == [] and not any(word.decode() in said for word in secrets)
    assert os.environ.get("AWS_SECRET_ACCESS_KEY") != s3_server.secret
