from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from components.tracking.outbox import RUN, Outbox
from components.tracking.tracker import Tracker, current
from pipelines.settings import Settings


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    settings = Settings(home=tmp_path, state=tmp_path)
    return Outbox.of(settings, pipeline="toy", run_id="toy-2026-01-05-aaaa", scope="train")


def kinds(outbox: Outbox) -> list[str]:
    return [event["kind"] for _, event in outbox.read()]


def test_a_torn_last_line_is_skipped_and_the_next_event_is_whole(outbox: Outbox) -> None:
    outbox.append({"kind": "one"})
    with outbox.events_path.open("ab") as file:
        file.write(b'{"at": 1, "kind": "tor')
    assert kinds(outbox) == ["one"]

    outbox.append({"kind": "two"})

    assert kinds(outbox) == ["one", "two"]


def test_reading_goes_on_where_the_cursor_stands(outbox: Outbox) -> None:
    outbox.append({"kind": "one"})
    [(offset, _)] = outbox.read()
    outbox.append({"kind": "two"})
    assert [event["kind"] for _, event in outbox.read(after=offset)] == ["two"]


def _append_many(outbox: Outbox, name: str) -> None:
    for _ in range(300):
        outbox.append({"kind": name, "text": "x" * 300})


def test_processes_that_write_at_once_lose_no_line(outbox: Outbox) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append_many, args=(outbox, name)) for name in ("a", "b", "c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(kinds(outbox)) == ["a"] * 300 + ["b"] * 300 + ["c"] * 300


def test_only_one_sends_at_a_time(outbox: Outbox) -> None:
    with outbox.sending(wait_secs=0) as first, outbox.sending(wait_secs=0) as second:
        assert (first, second) == (True, False)
    with outbox.sending(wait_secs=0) as again:
        assert again


def test_kept_files_survive_their_owner(outbox: Outbox, tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_text("{}")
    kept = outbox.keep(path)
    path.unlink()
    assert kept.read_text() == "{}"
    assert kept.name == "history.json"


def test_an_unreadable_cursor_means_sending_again(outbox: Outbox) -> None:
    outbox.append({"kind": "one"})
    (outbox.folder / "cursor.json").write_text("{")
    assert outbox.pending() == 1


def test_the_parent_comes_first(outbox: Outbox, tmp_path: Path) -> None:
    assert outbox.parent is not None
    outbox.append({"kind": "one"})
    outbox.parent.append({"kind": "one"})
    settings = Settings(home=tmp_path, state=tmp_path)
    found = Outbox.of_run(settings, pipeline="toy", run_id="toy-2026-01-05-aaaa")
    assert [each.scope for each in found] == [RUN, "train"]


def test_outside_a_node_the_tracker_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAYBREAK_PIPELINE", "DAYBREAK_RUN_ID", "DAYBREAK_NODE"):
        monkeypatch.delenv(name, raising=False)
    tracker = current()
    tracker.log_params({"a": 1})
    tracker.log_metrics({"loss": 0.5}, step=1)
    tracker.log_text("text", "a.md")
    assert tracker.outbox is None


def test_a_forked_child_has_its_own_tracker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path))
    for name, value in {"PIPELINE": "toy", "RUN_ID": "toy-1", "NODE": "train"}.items():
        monkeypatch.setenv(f"DAYBREAK_{name}", value)
    ours = current()
    assert current() is ours
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert current() is not ours


def test_the_log_of_an_earlier_try_is_not_repeated(outbox: Outbox) -> None:
    Tracker(outbox).log_metrics({"loss": 0.5, "auc": 0.7}, step=1)
    Tracker(outbox).log_metrics({"loss": 0.5, "auc": 0.71}, step=1)
    logged = [event["values"] for _, event in outbox.read() if event["kind"] == "metrics"]
    assert logged == [{"loss": 0.5, "auc": 0.7}, {"auc": 0.71}]
