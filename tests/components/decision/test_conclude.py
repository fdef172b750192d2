from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.decision.conclude import conclude
from components.decision.record import decision_path, latest_record
from components.decision.report import Verdict
from components.ledger.entries import Event
from components.ledger.ledger import Ledger
from components.tracking import report_outcome
from components.tracking.sending import RUN_KEY
from pipelines.outcome import State, write_outcome
from pipelines.settings import Settings
from tests.components.decision.test_record import DAY, MANIFEST, RUN, complete, outcome
from tests.components.tracking.mlflow_server import MlflowServer


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("MLFLOW_TRACKING_URI", "DAYBREAK_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return Settings(home=tmp_path, state=tmp_path / "state")


def test_a_run_without_a_single_node_has_a_record(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert conclude(MANIFEST, settings, run_id=RUN, day=DAY, reason="the budget of 24 h was spent") == 0
    record = latest_record(settings, "toy", DAY)
    assert record is not None
    assert (record.verdict, record.reason) == (Verdict.NOT_EVALUABLE, "the budget of 24 h was spent")
    assert "the budget of 24 h was spent" in capsys.readouterr().out


def test_the_parent_run_tells_the_whole_story(
    settings: Settings, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
    for each in complete(tmp_path, Verdict.ACCEPTED).values():
        write_outcome(settings, each)
        url = report_outcome(each, settings=settings)
        write_outcome(settings, each.model_copy(update={"tracking_url": url}))

    assert conclude(MANIFEST, settings, run_id=RUN, day=DAY) == 0
    assert conclude(MANIFEST, settings, run_id=RUN, day=DAY) == 0

    client = MlflowClient(mlflow_server.url)
    experiment = client.get_experiment_by_name("toy").experiment_id
    [parent] = client.search_runs([experiment], f"tags.`{RUN_KEY}` = '{RUN}'")
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert {child.info.run_name for child in children} == {node.id for node in MANIFEST.nodes}
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == "toy 2026-01-05 accepted, version 3 is champion"
    assert parent.data.tags["daybreak.verdict"] == "accepted"
    assert parent.data.tags["daybreak.champion"] == "3"
    assert parent.data.metrics["evaluate/auc"] == 0.6
    assert parent.data.metrics["time/train_seconds"] == 1.0
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith("## toy 2026-01-05")
    assert "**Accepted: 2 gates passed" in note
    assert f"[train]({mlflow_server.url}/#/experiments/" in note
    files = {file.path for file in client.list_artifacts(parent.info.run_id, "decision")}
    assert files == {"decision/decision.json", "decision/decision.md"}

    report_outcome(outcome("train"), settings=settings)  # the node is cleared and runs again
    again = client.get_run(parent.info.run_id).info
    assert (again.status, again.run_name) == ("RUNNING", "toy 2026-01-05")


def test_a_server_that_is_down_is_told_later(
    settings: Settings, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = f"{RUN}-down"
    failed = outcome("contract", State.FAILED, error="the disk is full").model_copy(update={"run_id": run_id})
    write_outcome(settings, failed)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert report_outcome(failed, settings=settings) == ""
    assert conclude(MANIFEST, settings, run_id=run_id, day=DAY) == 75
    record = latest_record(settings, "toy", DAY)
    assert record is not None
    assert record.gate == "contract"

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
    assert conclude(MANIFEST, settings, run_id=run_id, day=DAY) == 0
    client = MlflowClient(mlflow_server.url)
    experiment = client.get_experiment_by_name("toy").experiment_id
    [parent] = client.search_runs([experiment], f"tags.`{RUN_KEY}` = '{run_id}'")
    assert parent.info.status == "FAILED"
    assert parent.info.run_name == "toy 2026-01-05 not evaluable by contract"
    assert "the disk is full" in parent.data.tags["mlflow.note.content"]


def test_settings_of_another_state_share_nothing(settings: Settings, tmp_path: Path) -> None:
    conclude(MANIFEST, settings, run_id=RUN, day=DAY)
    assert latest_record(dataclasses.replace(settings, state=tmp_path / "other"), "toy", DAY) is None


def test_every_conclusion_is_one_row_of_the_ledger(
    settings: Settings, ledger_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAYBREAK_DATABASE_URL", ledger_url)
    manifest = MANIFEST.model_copy(update={"pipeline": "concluded"})
    for each in complete(tmp_path, Verdict.ACCEPTED).values():
        write_outcome(settings, each.model_copy(update={"pipeline": "concluded"}))
    assert [conclude(manifest, settings, run_id=RUN, day=DAY) for _ in range(2)] == [0, 0]
    [row] = Ledger.open(settings, "concluded").entries()
    assert (row.event, row.version, row.verdict, row.run_id) == (Event.DECIDED, "3", "accepted", RUN)
    assert row.record_digest == hashlib.sha256(decision_path(settings, "concluded", RUN).read_bytes()).hexdigest()
    assert "Accepted: 2 gates passed" in row.reason


def test_a_ledger_that_is_down_is_told_later_and_the_record_is_written(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DAYBREAK_DATABASE_URL", f"postgresql://nobody@/none?host={tmp_path}")
    monkeypatch.setattr("components.decision.conclude.COMMAND_PATIENCE_SECS", 0.2)
    assert conclude(MANIFEST, settings, run_id=RUN, day=DAY) == 75
    assert latest_record(settings, "toy", DAY) is not None
    assert "the ledger does not know it yet" in capsys.readouterr().err
