"""The outbox against a real MLflow server: in order, once, through outages, retries and kills."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from components.tracking import report_outcome
from components.tracking.outbox import RUN, Cursor, Outbox
from components.tracking.sending import RUN_KEY, send
from components.tracking.tracker import Tracker
from pipelines.outcome import ArtifactRef, Outcome, State, write_outcome
from pipelines.settings import Settings
from tests.components.tracking.mlflow_server import MlflowServer


@pytest.fixture
def settings(tmp_path: Path, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
    return Settings(home=tmp_path, state=tmp_path / "state")


@pytest.fixture
def outbox(settings: Settings, request: pytest.FixtureRequest) -> Outbox:
    return Outbox.of(settings, pipeline="toy", run_id=f"toy-{request.node.name}", scope="train")


def runs(server: MlflowServer, outbox: Outbox) -> list[Run]:
    client = MlflowClient(server.url)
    experiment = client.get_experiment_by_name(outbox.pipeline)
    return list(client.search_runs([experiment.experiment_id], f"tags.`{RUN_KEY}` = '{outbox.run_key}'"))


def history(server: MlflowServer, run: Run, name: str) -> list[tuple[int, float]]:
    found = MlflowClient(server.url).get_metric_history(run.info.run_id, name)
    return sorted((metric.step, metric.value) for metric in found)


def test_a_nested_run_holds_everything_that_was_logged(
    settings: Settings, mlflow_server: MlflowServer, outbox: Outbox, tmp_path: Path
) -> None:
    tracker = Tracker(outbox)
    tracker.log_params({"epochs": 3})
    for step in range(1200):
        tracker.log_metrics({"loss": 1 / (step + 1)}, step=step)
    artifact = tmp_path / "history.json"
    artifact.write_text("{}")
    tracker.log_artifact(artifact, "curves")
    artifact.unlink()
    tracker.log_text("# Hello", "notes/hello.md")
    tracker.log_table([{"slice": "overall", "auc": 0.7}], "slices.json")
    tracker.log_dataset(name="rows", digest="abc", source="/rows", context="training", profile={"rows": 3})

    sent = send(outbox, settings=settings, wait_secs=5)

    assert (sent.left, sent.error) == (0, "")
    [run] = runs(mlflow_server, outbox)
    assert run.data.params == {"epochs": "3"}
    assert len(history(mlflow_server, run, "loss")) == 1200
    assert run.inputs.dataset_inputs[0].dataset.name == "rows"
    [parent] = runs(mlflow_server, outbox.parent)
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    files = {file.path for file in MlflowClient(mlflow_server.url).list_artifacts(run.info.run_id)}
    assert files == {"curves", "notes", "slices.json"}
    assert f"/runs/{run.info.run_id}?workflowType=machine_learning" in sent.url


def test_sending_again_from_the_start_changes_nothing(
    settings: Settings, mlflow_server: MlflowServer, outbox: Outbox
) -> None:
    tracker = Tracker(outbox)
    tracker.log_params({"epochs": 3})
    tracker.log_metrics({"loss": 0.5}, step=1)
    tracker.log_metrics({"loss": 0.4}, step=2)
    send(outbox, settings=settings, wait_secs=5)
    outbox.move_cursor(Cursor())

    send(outbox, settings=settings, wait_secs=5)

    [run] = runs(mlflow_server, outbox)
    assert history(mlflow_server, run, "loss") == [(1, 0.5), (2, 0.4)]
    assert "daybreak.rejected" not in run.data.tags


def test_a_retry_resumes_the_run_and_repeats_no_metric(
    settings: Settings, mlflow_server: MlflowServer, outbox: Outbox
) -> None:
    Tracker(outbox).log_metrics({"loss": 0.5}, step=1)
    send(outbox, settings=settings, wait_secs=5)
    second = Tracker(outbox)
    second.log_metrics({"loss": 0.5}, step=1)
    second.log_metrics({"loss": 0.4}, step=2)
    send(outbox, settings=settings, wait_secs=5)

    [run] = runs(mlflow_server, outbox)
    assert history(mlflow_server, run, "loss") == [(1, 0.5), (2, 0.4)]


def test_a_changed_parameter_keeps_the_first_value_and_shows_the_other(
    settings: Settings, mlflow_server: MlflowServer, outbox: Outbox
) -> None:
    Tracker(outbox).log_params({"epochs": 3})
    send(outbox, settings=settings, wait_secs=5)
    Tracker(outbox).log_params({"epochs": 4, "seed": 1})
    sent = send(outbox, settings=settings, wait_secs=5)

    [run] = runs(mlflow_server, outbox)
    assert sent.left == 0
    assert run.data.params == {"epochs": "3", "seed": "1"}
    assert run.data.tags["daybreak.changed.epochs"] == "4"


def test_an_event_the_server_never_takes_is_kept_aside_and_counted(
    settings: Settings, mlflow_server: MlflowServer, outbox: Outbox, tmp_path: Path
) -> None:
    outbox.append({"kind": "artifact", "path": str(tmp_path / "gone.txt"), "to": ""})
    Tracker(outbox).log_metrics({"loss": 0.5}, step=1)

    sent = send(outbox, settings=settings, wait_secs=5)

    [run] = runs(mlflow_server, outbox)
    assert sent.left == 0
    assert history(mlflow_server, run, "loss") == [(1, 0.5)]
    assert run.data.tags["daybreak.rejected"] == "1"
    rejected = json.loads((outbox.folder / "rejected.jsonl").read_text())
    assert rejected["event"]["path"].endswith("gone.txt")


def test_an_outage_loses_nothing_and_blocks_for_seconds_only(
    settings: Settings, mlflow_server: MlflowServer, outbox: Outbox
) -> None:
    tracker = Tracker(outbox)
    tracker.log_metrics({"loss": 0.5}, step=1)
    send(outbox, settings=settings, wait_secs=5)
    mlflow_server.stop()
    try:
        tracker.log_metrics({"loss": 0.4}, step=2)
        started = time.monotonic()
        sent = send(outbox, settings=settings, wait_secs=5)
        assert time.monotonic() - started < 5
        assert sent.left == 1
        assert "does not answer" in sent.error
    finally:
        mlflow_server.start()

    assert send(outbox, settings=settings, wait_secs=5).left == 0
    [run] = runs(mlflow_server, outbox)
    assert history(mlflow_server, run, "loss") == [(1, 0.5), (2, 0.4)]


def test_a_run_the_server_lost_is_told_again(settings: Settings, mlflow_server: MlflowServer, outbox: Outbox) -> None:
    Tracker(outbox).log_metrics({"loss": 0.5}, step=1)
    send(outbox, settings=settings, wait_secs=5)
    lost = Cursor(offset=0, tracking_uri=mlflow_server.url, mlflow_run="0" * 32, experiment="0")
    outbox.move_cursor(lost)

    assert send(outbox, settings=settings, wait_secs=5).left == 0
    [run] = runs(mlflow_server, outbox)
    assert history(mlflow_server, run, "loss") == [(1, 0.5)]


def test_without_a_server_everything_stays(settings: Settings, outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    Tracker(outbox).log_metrics({"loss": 0.5}, step=1)

    sent = send(outbox, settings=settings, wait_secs=0)

    assert sent.left == 2
    assert "no tracking server" in sent.error


def outcome(*, run_id: str, state: State = State.COMPLETE, uri: str = "", error: str = "") -> Outcome:
    outputs = {"report": (ArtifactRef(type="GateReport", uri=uri),)} if uri else {}
    return Outcome(
        pipeline="toy",
        run_id=run_id,
        node="contract",
        stage="data",
        day="2026-01-05",
        parameters={"rows_limit": 0},
        state=state,
        cache="missed because no earlier execution exists",
        error=error,
        started=1_767_600_000.0,
        ended=1_767_600_007.5,
        cpu_secs=6.0,
        peak_memory_bytes=512_000_000,
        outputs=outputs,
    )


def test_an_outcome_becomes_a_nested_run_below_a_named_parent(settings: Settings, mlflow_server: MlflowServer) -> None:
    failed = outcome(run_id="toy-2026-01-05-aaaa", state=State.FAILED, error="the server went away")
    url = report_outcome(failed, settings=settings)
    done = outcome(run_id="toy-2026-01-05-aaaa")
    write_outcome(settings, done)
    assert report_outcome(done, settings=settings) == url

    outbox = Outbox.of(settings, pipeline="toy", run_id="toy-2026-01-05-aaaa", scope="contract")
    [run] = runs(mlflow_server, outbox)
    [parent] = runs(mlflow_server, outbox.parent)
    assert run.info.run_name == "contract"
    assert run.info.status == "FINISHED"
    assert run.info.start_time == 1_767_600_000_000
    assert run.data.metrics["system/seconds"] == 7.5
    assert "missed because" in run.data.tags["mlflow.note.content"]
    assert parent.info.run_name == "toy 2026-01-05"
    assert parent.info.status == "RUNNING"
    assert parent.data.tags["daybreak.day"] == "2026-01-05"
    assert "1 of 1 nodes" in parent.data.tags["mlflow.note.content"]


def test_a_node_that_logged_before_its_outcome_still_names_the_parent(
    settings: Settings, mlflow_server: MlflowServer
) -> None:
    outbox = Outbox.of(settings, pipeline="toy", run_id="toy-2026-01-05-bbbb", scope="contract")
    Tracker(outbox).log_metrics({"loss": 0.5}, step=1)
    send(outbox, settings=settings, wait_secs=5)
    report_outcome(outcome(run_id="toy-2026-01-05-bbbb"), settings=settings)

    [parent] = runs(mlflow_server, Outbox.of(settings, pipeline="toy", run_id="toy-2026-01-05-bbbb", scope=RUN))
    assert parent.info.run_name == "toy 2026-01-05"
    assert parent.data.tags["daybreak.day"] == "2026-01-05"


def test_tracking_never_fails_a_node(settings: Settings) -> None:
    settings.state.mkdir()
    settings.runs.write_text("a file where a folder should be")
    assert report_outcome(outcome(run_id="toy-2026-01-05-cccc"), settings=settings) == ""
