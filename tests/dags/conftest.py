"""A compiled pipeline, a fake node command, and an Airflow home of its own for this package's tests."""

from __future__ import annotations

import datetime
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Airflow reads its configuration when it is first imported; nothing of the developer's own may be touched.
_HOME = tempfile.TemporaryDirectory(prefix="daybreak-airflow-")
os.environ.update(
    AIRFLOW_HOME=_HOME.name,
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=str(Path(__file__).parents[2] / "dags"),
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{_HOME.name}/airflow.db",
)

from pipelines.manifest import Manifest, Node, write_manifest  # noqa: E402
from pipelines.settings import Settings  # noqa: E402
from pipelines.spec import Budget, Schedule  # noqa: E402

EDGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "contract": ("data", ()),
    "examples": ("data", ("contract",)),
    "statistics": ("validation", ("examples",)),
    "schema": ("validation", ()),
    "champion": ("evaluation", ()),
    "anomalies": ("validation", ("statistics", "schema", "champion")),
    "transform": ("features", ("examples", "schema", "anomalies")),
    "train": ("training", ("transform", "schema")),
    "evaluate": ("evaluation", ("examples", "train", "champion")),
    "register": ("release", ("train", "evaluate")),
}


def sample_manifest(name: str = "shop", **changes: Any) -> Manifest:
    nodes = tuple(
        Node(
            id=node, stage=stage, upstream=upstream, description=f"what {node} does", slots=2 if node == "train" else 1
        )
        for node, (stage, upstream) in EDGES.items()
    )
    defaults: dict[str, Any] = {
        "description": "Recommends products.",
        "owner": "shop-team",
        "simulated": True,
        "schedule": Schedule(start=datetime.date(2026, 1, 1)),
        "budget": Budget(hours=24, warn_hours=18, retries=2),
        "nodes": nodes,
    }
    return Manifest(pipeline=name, ir=f"{name}.ir.json", ir_digest="0", **(defaults | changes))


@pytest.fixture
def manifest() -> Manifest:
    return sample_manifest()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation whose ML environment's interpreter runs `fake_node.py`."""
    settings = Settings(home=tmp_path / "home", state=tmp_path / "state")
    python = settings.python("ml")
    python.parent.mkdir(parents=True)
    settings.state.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("fake_node.py")} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("DAYBREAK_HOME", str(settings.home))
    monkeypatch.setenv("DAYBREAK_STATE", str(settings.state))
    monkeypatch.delenv("DAYBREAK_WORKER_SOCKET", raising=False)
    return settings


@pytest.fixture
def manifest_path(settings: Settings, manifest: Manifest) -> Path:
    path = settings.manifests / "shop.json"
    write_manifest(manifest, path)
    return path


@pytest.fixture
def script(settings: Settings) -> Callable[..., None]:
    """`script(train={"exit": 75})` tells the fake node how to behave."""

    def write(**behaviours: dict[str, Any]) -> None:
        (settings.state / "script.json").write_text(json.dumps(behaviours))

    return write


@pytest.fixture
def started(settings: Settings) -> Callable[[], list[dict[str, Any]]]:
    """The node commands that were started so far."""
    path = settings.state / "started.jsonl"
    return lambda: [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
