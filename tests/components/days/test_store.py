from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from components.days.store import DayStore, Entry, place

PIPELINE = "shop"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def made(store: DayStore, key: str, text: str = "rows") -> tuple[Entry, bool]:
    """The entry, and whether it was built now."""
    built = []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "Split-train").mkdir()
        (folder / "Split-train" / "data").write_text(text)

    return store.entry("examples", key, build), bool(built)


def test_an_entry_is_built_once_and_its_digest_is_that_of_its_content() -> None:
    with DayStore.opened(PIPELINE) as store:
        first, built = made(store, "one")
        assert built and first.path("Split-train/data").read_text() == "rows" and first.names == ["Split-train/data"]
    with DayStore.opened(PIPELINE) as store:
        again, built = made(store, "one")
        assert not built and again.digest_below("Split-train") == first.digest_below("Split-train")
        assert made(store, "two")[0].digest_below("Split-train") == first.digest_below("Split-train")
        other, _ = made(store, "three", "other rows")
        assert other.digest_below("Split-train") != first.digest_below("Split-train")
        assert store.find("examples", "four") is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "unlisted", "half"])
def test_a_damaged_entry_is_noticed_and_made_again(damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    with DayStore.opened(PIPELINE) as store:
        entry, _ = made(store, "one")
        path, listing = entry.path("Split-train/data"), entry.path("entry.json")
        match damage:
            case "cut":
                path.write_text("row")
            case "flipped":
                path.write_text("rowz")
            case "gone":
                path.unlink()
            case "unlisted":
                listing.unlink()
            case "half":
                listing.write_text(listing.read_text()[:20])
        entry, built = made(store, "one")
        assert built and entry.path("Split-train/data").read_text() == "rows"
        assert made(store, "one")[1] is False
    assert "examples/one is damaged" in capsys.readouterr().out


def interrupted(folder: Path) -> None:
    (folder / "data").write_text("half")
    raise KeyboardInterrupt


def test_a_killed_build_leaves_no_entry_and_its_rest_is_pruned(state: Path) -> None:
    with DayStore.opened(PIPELINE) as store:
        with pytest.raises(KeyboardInterrupt):
            store.entry("examples", "one", interrupted)
        assert store.find("examples", "one") is None
        left = state / "artifacts" / PIPELINE / ".days" / ".new-of-a-killed-run"
        left.mkdir()
        store.prune("examples")
        assert not left.exists()


def test_of_two_runs_that_make_the_same_entry_the_first_stays() -> None:
    with DayStore.opened(PIPELINE) as one, DayStore.opened(PIPELINE) as other, one.new() as mine, other.new() as theirs:
        for folder in (mine, theirs):
            (folder / "data").write_text("rows")
        first, second = one.add("examples", "key", mine), other.add("examples", "key", theirs)
        assert first.folder == second.folder and second.path("data").read_text() == "rows"
        assert one.find("examples", "key") is not None


def test_pruning_keeps_what_was_used_and_as_many_more_of_the_last_used() -> None:
    with DayStore.opened(PIPELINE) as store:
        for number in range(6):
            entry, _ = made(store, f"old{number}")
            os.utime(entry.folder, ns=(number, number))
    with DayStore.opened(PIPELINE) as store:
        for key in ("old0", "new"):
            made(store, key)
        store.prune("examples")
        assert {folder.name for folder in (store.root / "examples").iterdir()} == {"old0", "new", "old4", "old5"}


def test_nothing_is_pruned_while_another_run_is_at_work() -> None:
    with DayStore.opened(PIPELINE) as store:
        for number in range(3):
            made(store, f"old{number}")
    with DayStore.opened(PIPELINE) as busy:
        assert busy.find("examples", "old0")
        with DayStore.opened(PIPELINE) as store:
            store.prune("examples")
            assert len(list((store.root / "examples").iterdir())) == 3
    with DayStore.opened(PIPELINE) as store:
        store.prune("examples")
        assert not list((store.root / "examples").iterdir())


def test_runs_share_the_store_from_several_threads() -> None:
    found: list[bool] = []

    def run() -> None:
        with DayStore.opened(PIPELINE) as store:
            for number in range(20):
                found.append(made(store, f"{number}")[0].path("Split-train/data").read_text() == "rows")
            store.prune("examples")

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80 and all(found)


def test_a_file_is_linked_and_copied_where_it_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.write_text("rows")
    place(source, tmp_path / "out" / "linked")
    assert (tmp_path / "out" / "linked").samefile(source)

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another device")

    monkeypatch.setattr(os, "link", refuse)
    place(source, tmp_path / "out" / "linked")
    copy = tmp_path / "out" / "linked"
    assert copy.read_text() == "rows" and not copy.samefile(source)
    assert [path.name for path in copy.parent.iterdir()] == ["linked"]
