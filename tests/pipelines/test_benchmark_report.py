"""The benchmarks' JSON and page, without running one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.report import Figure, write_report


def test_ratios_and_goals() -> None:
    figure = Figure(unit="s", ours=[50, 60, 55], peers={"a": [100, 110, 120], "b": [60, 62, 61]}, goal={"a": 0.6})
    found = figure.as_json()
    assert found["ours"] == {"median": 55, "min": 50, "max": 60}
    assert found["ratio"] == {"a": 0.5, "b": pytest.approx(0.902)}
    assert found["met"] is True
    assert Figure(unit="s", ours=[55], peers={"a": [60]}, goal={"a": 0.9}).as_json()["met"] is False
    assert Figure(unit="s", ours=[1.4], goal=1.5).as_json()["met"] is True
    assert Figure(unit="s", ours=[1.6], goal=1.5).as_json()["met"] is False
    assert Figure(unit="s", ours=[1.6]).as_json()["met"] is None


def test_one_page_shows_all_reports(tmp_path: Path) -> None:
    (tmp_path / "rollout.json").write_text('{"a table": "of another page"}')
    for name in ("chain", "training"):
        figures = {"wall": Figure(unit="s", ours=[1.0], peers={"stock": [2.0]}, goal={"stock": 0.6})}
        path = write_report(name, figures=figures, command="make bench", versions={"tfx": "1"}, folder=tmp_path)
        assert json.loads(path.read_text())["name"] == name
    page = (tmp_path / "README.md").read_text()
    assert "## chain" in page and "## training" in page
    assert "| | stock | 2.0 s (2.0 to 2.0) | 0.50 | <= 0.6 | |" in page
