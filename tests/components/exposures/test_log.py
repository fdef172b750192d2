"""The writer: nothing acknowledged is lost, nothing is unreadable, nobody waits."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.exposures.archiving import archive, ask_to_seal
from components.exposures.log import Log
from components.exposures.schema import EXPOSURES, OUTCOMES
from pipelines.errors import SpecError, TransientError
from pipelines.settings import REPOSITORY
from tests.components.exposures.conftest import DAY_MICROS, NOON, exposure, ids, outcome


def wait_until(reached: Callable[[], bool], *, secs: float = 10) -> None:
    end = time.monotonic() + secs
    while not reached():
        assert time.monotonic() < end, "not reached"
        time.sleep(0.01)


def test_what_was_logged_is_in_files_of_its_day(tmp_path: Path) -> None:
    log = Log(tmp_path, gateway="g")
    for number in range(1000):
        log.expose(exposure(number, time=NOON + (number % 2) * DAY_MICROS))
    asyncio.run(log.record([outcome(1), outcome(2, time=NOON - DAY_MICROS)]))
    log.close()

    assert log.counts == (1000, 2, 0, 0)
    assert sorted(ids(tmp_path, "exposures")) == sorted(f"d{number}" for number in range(1000))
    files = sorted(tmp_path.glob("*/day=*/*.parquet"))
    assert [str(path.parent.relative_to(tmp_path)) for path in files] == [
        *("exposures/day=2026-01-05", "exposures/day=2026-01-06"),
        *("outcomes/day=2026-01-04", "outcomes/day=2026-01-05"),
    ]
    assert pq.read_schema(files[0]).equals(EXPOSURES)
    assert pq.read_schema(files[2]).equals(OUTCOMES)
    assert not list(tmp_path.glob("journals/*/*-*"))


def test_an_outcome_of_an_impossible_time_is_of_the_day_it_came(tmp_path: Path) -> None:
    log = Log(tmp_path, gateway="g")
    asyncio.run(log.record([outcome(1, time=2**62), outcome(2, time=-5)]))
    log.close()

    assert [path.parent.name for path in tmp_path.glob("outcomes/*/*")] == ["day=2026-01-05"]


def test_a_gateway_that_runs_gives_what_it_has_when_it_is_asked(tmp_path: Path) -> None:
    log = Log(tmp_path, gateway="g")
    log.expose(exposure(1))
    wait_until(lambda: log.counts.exposures == 1)
    archive(tmp_path)
    assert ids(tmp_path, "exposures") == []
    ask_to_seal(tmp_path)
    archive(tmp_path)
    assert ids(tmp_path, "exposures") == ["d1"]
    log.expose(exposure(2))
    log.close()
    assert sorted(ids(tmp_path, "exposures")) == ["d1", "d2"]


def test_full_journals_are_archived_while_the_gateway_runs(tmp_path: Path) -> None:
    log = Log(tmp_path, gateway="g", rotate_rows=10)
    for number in range(10):
        log.expose(exposure(number))

    wait_until(lambda: bool(list(tmp_path.glob("exposures/*/g-*.parquet"))), secs=60)
    log.expose(exposure(10))
    wait_until(lambda: log.counts.exposures == 11)
    archive(tmp_path)

    assert len(ids(tmp_path, "exposures")) == 10  # the open journal of a gateway that runs is its own
    log.close()
    assert len(ids(tmp_path, "exposures")) == 11


def test_a_full_buffer_loses_and_counts(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where the folder should be")
    log = Log(tmp_path / "log", gateway="g", capacity_rows=50)
    for number in range(80):
        log.expose(exposure(number))

    # Those that the writer has in hand beside the buffer are not lost either.
    assert log.counts.exposures == 0
    assert log.counts.lost + log.counts.buffered == 80
    assert 0 < log.counts.lost <= 30
    with pytest.raises(TransientError, match="could not be written"):
        asyncio.run(log.record([outcome(1)]))

    kept = log.counts.buffered
    (tmp_path / "log").unlink()
    wait_until(lambda: log.counts.buffered == 0)
    asyncio.run(log.record([outcome(1)]))
    log.close()
    assert len(ids(tmp_path / "log", "exposures")) == kept
    assert ids(tmp_path / "log", "outcomes") == ["o1"]


def test_a_full_disk_is_waited_for(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 900_000)
    log = Log(small_disk / "log", gateway="g")
    for number in range(400):
        log.expose(exposure(number, context="y" * 1000))
    with pytest.raises(TransientError, match="No space left"):
        asyncio.run(log.record([outcome(number) for number in range(20_000)]))
    wait_until(lambda: log.counts.buffered > 0)

    ballast.unlink()
    wait_until(lambda: log.counts.buffered == 0)
    asyncio.run(log.record([outcome(7)]))
    log.close()

    assert log.counts.lost == 0
    assert sorted(ids(small_disk / "log", "exposures")) == sorted(f"d{number}" for number in range(400))
    assert ids(small_disk / "log", "outcomes") == ["o7"]


def test_a_disk_that_stays_full_loses_and_counts_at_the_end(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(b"x" * 1_000_000)
    log = Log(small_disk / "log", gateway="g")
    for number in range(200):
        log.expose(exposure(number, context="y" * 1000))
    log.close()

    assert log.counts.lost + log.counts.exposures == 200
    assert log.counts.lost > 100


def test_a_record_that_cannot_be_encoded_is_counted(tmp_path: Path) -> None:
    log = Log(tmp_path, gateway="g")
    log.expose(exposure(0))
    log.expose(exposure(1, context=object()))  # type: ignore[arg-type]
    log.expose(exposure(2, context=None))  # type: ignore[arg-type]  # encodes, and is no text
    log.expose(exposure(3))
    log.close()

    assert log.counts.lost == 1
    assert ids(tmp_path, "exposures") == ["d0", "d3"]


def test_two_gateways_of_one_name_are_refused(tmp_path: Path) -> None:
    log = Log(tmp_path, gateway="g")

    with pytest.raises(SpecError, match="a name of its own"):
        Log(tmp_path, gateway="g")
    log.close()
    Log(tmp_path, gateway="g").close()


def test_outcomes_of_many_callers_share_a_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.exposures.journal import Journal

    syncs = []
    synced = Journal.sync

    def slow(journal: Journal) -> None:
        syncs.append(1)
        time.sleep(0.02)
        synced(journal)

    monkeypatch.setattr(Journal, "sync", slow)
    log = Log(tmp_path, gateway="g")

    async def all_of_them() -> None:
        await asyncio.gather(*(log.record([outcome(number)]) for number in range(200)))

    asyncio.run(all_of_them())
    log.close()

    assert 0 < len(syncs) < 20
    assert len(ids(tmp_path, "outcomes")) == 200


@pytest.mark.slow
def test_killed_at_any_moment_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """Eight lives of one gateway on one log; each takes over what the last one left."""
    draw = random.Random(3)
    acknowledged: list[str] = []
    written: dict[str, int] = {}
    for trial in range(8):
        command = [sys.executable, "-m", "tests.components.exposures.gateway_process", str(tmp_path), str(trial)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True)
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(draw.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
        for line in filter(lambda one: one.endswith("\n"), lines):
            number, count = line.split()
            acknowledged.append(f"{trial}-{number}")
            written[str(trial)] = int(count)

    archive(tmp_path)

    assert len(acknowledged) > 30
    assert set(acknowledged) <= set(ids(tmp_path, "outcomes"))
    exposures = ids(tmp_path, "exposures")
    for trial, count in written.items():
        found = {int(one.partition("-")[2]) for one in exposures if one.startswith(f"{trial}-")}
        assert len(found) >= count
        assert found == set(range(1, len(found) + 1))  # from the first on without a gap: only the tail is lost
    assert not list(tmp_path.glob("journals/*/*-*"))
