"""Candidates in a real server: one that is right, one that is slow, one that serves something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.decision.report import Verdict
from components.training import export as exporting
from tests.components.serving.models import export
from tests.components.serving_check.conftest import Try
from tests.components.training.conftest import Transformed


def test_a_good_candidate_is_accepted_and_measured(model: Path, try_candidate: Try) -> None:
    tried = try_candidate(model, max_p99_ms=5000, max_memory_megabytes=5000, max_usd_per_1k=1, golden_rows=50)
    assert (tried.report.verdict, tried.verdict) == (Verdict.ACCEPTED, "accepted"), tried.report.reason
    names = [check.name for check in tried.report.checks]
    assert names == ["server", "parity", "failed requests", "p99", "cold start", "memory", "cost of 1000 predictions"]

    golden = json.loads((tried.measures / "golden.json").read_text())
    assert len(golden["instances"]) == len(golden["predictions"]) == 50
    assert golden["served"] == pytest.approx(golden["predictions"], abs=1e-6)
    assert len(set(golden["predictions"])) > 20
    assert not any("clicked" in row for row in golden["instances"])

    found = json.loads((tried.measures / "serving.json").read_text())
    assert found["requests"] > 20 and found["failures"] == 0
    assert 0 < found["p50_ms"] <= found["p99_range_ms"][1]
    assert found["model_bytes"] == sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    assert found["memory_bytes"] > 100e6
    assert 20 < found["cpu_us_per_request"] < 20_000
    assert found["usd_per_1k"] == pytest.approx(found["cpu_us_per_request"] / 1e6 * 1000 / 3600 * 0.04)
    assert "2 clients in a closed loop" in found["how"]


def test_a_slow_candidate_is_refused_by_its_latency(
    transformed: Transformed, tmp_path: Path, try_candidate: Try
) -> None:
    slow = export(transformed, tmp_path / "slow" / "Format-Serving", steps=400)
    tried = try_candidate(slow, max_p99_ms=50)
    assert tried.report.verdict is Verdict.REFUSED
    assert {check.name for check in tried.report.checks if check.verdict is Verdict.REFUSED} == {"p99"}
    assert tried.report.reason.endswith("breaks <= 50 ms")
    assert "--skip-cache" in tried.report.next_command


def test_a_candidate_that_serves_something_else_is_refused_by_parity(
    transformed: Transformed, tmp_path: Path, try_candidate: Try, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_columns = exporting._Serving.of_columns

    def skewed(self: Any, columns: Any) -> dict[str, Any]:
        return {"predictions": of_columns(self, columns)["predictions"] + 2e-5}

    monkeypatch.setattr(exporting._Serving, "of_columns", skewed)
    other = export(transformed, tmp_path / "other" / "Format-Serving")
    tried = try_candidate(other, load_secs=0.3)
    assert tried.report.verdict is Verdict.REFUSED
    assert "differs by 2" in tried.report.reason and "golden row" in tried.report.reason
    assert "latency" not in tried.report.reason and tried.report.next_command == ""


def test_a_model_that_no_server_loads_is_refused_with_the_end_of_its_log(
    model: Path, tmp_path: Path, try_candidate: Try, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.serving_check import executor

    golden = executor.choose
    monkeypatch.setattr(executor, "choose", lambda groups, **given: golden(groups, **{**given, "model": model}))
    (tmp_path / "broken" / "Format-Serving").mkdir(parents=True)
    tried = try_candidate(tmp_path / "broken" / "Format-Serving")
    assert tried.report.verdict is Verdict.REFUSED
    assert "the server ended with code 78 before it was ready" in tried.report.reason
    assert "`--model` must be a SavedModel that TensorFlow Serving loads" in tried.report.reason
    assert (tried.measures / "golden.json").exists()


def test_without_rows_there_is_nothing_to_ask(model: Path, tmp_path: Path, try_candidate: Try) -> None:
    (tmp_path / "no rows" / "Split-eval").mkdir(parents=True)
    tried = try_candidate(model, rows=tmp_path / "no rows")
    assert tried.report.verdict is Verdict.NOT_EVALUABLE
    assert "no row" in tried.report.reason
