"""The DAG files as Airflow's parser sees them: what they import, what a broken manifest does, which files they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import dags
from pipelines.manifest import write_manifest
from pipelines.settings import Settings
from tests.dags.conftest import sample_manifest

FOLDER = Path(dags.__file__).parent
HEAVY = {"tensorflow", "tfx", "apache_beam", "mlflow", "pandas", "numpy", "pyarrow", "great_expectations", "components"}

PARSE = """
import json, sys
import airflow.dag_processing.dagbag as dagbag, airflow.sdk
before = set(sys.modules)
bag = dagbag.DagBag({folder!r}, bundle_path={folder!r}, bundle_name="dags-folder")
print(json.dumps({{
    "dags": sorted(bag.dags), "errors": bag.import_errors, "files": sorted(stat.file for stat in bag.dagbag_stats),
    "all": sorted({{name.partition(".")[0] for name in sys.modules}}), "new": len(set(sys.modules) - before),
}}))
"""


def parse() -> dict:
    """In a fresh interpreter, so that what the tests imported does not count."""
    command = PARSE.format(folder=str(FOLDER))
    result = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, timeout=120)
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def three(settings: Settings) -> None:
    for name in ("shop", "taxi"):
        write_manifest(sample_manifest(name), settings.manifests / f"{name}.json")
    (settings.manifests / "broken.json").write_text("{}")


@pytest.mark.usefixtures("three")
def test_a_broken_manifest_is_one_import_error_and_the_others_load():
    parsed = parse()
    assert parsed["dags"] == ["daybreak_shop", "daybreak_shop_predict", "daybreak_taxi", "daybreak_taxi_predict"]
    assert list(parsed["errors"]) == ["broken_manifests.py"], "an error in retrain.py would hide the good DAGs"
    assert "broken: " in parsed["errors"]["broken_manifests.py"]
    assert "Fix: run `daybreak compile broken`" in parsed["errors"]["broken_manifests.py"]


@pytest.mark.usefixtures("three")
def test_parsing_imports_nothing_heavy():
    parsed = parse()
    assert not HEAVY & set(parsed["all"])
    assert parsed["new"] < 200, "modules that parsing adds to a process that has Airflow"


@pytest.mark.usefixtures("settings")
def test_airflow_parses_the_dag_files_only():
    assert parse()["files"] == ["broken_manifests.py", "retrain.py"]
